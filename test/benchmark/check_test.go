package main

import (
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const (
	firstBody  = `{"AccessKeyId":"ASIA1","SecretAccessKey":"secret1","Token":"token1","Expiration":"2026-11-24T12:00:09Z"}`
	secondBody = `{"AccessKeyId":"ASIA2","SecretAccessKey":"secret2","Token":"token2","Expiration":"2026-11-24T12:00:14Z"}`
)

func noon() time.Time { return time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC) }

func issued() []standin.Credentials {
	return []standin.Credentials{
		{AccessKeyID: "ASIA1", SecretAccessKey: "secret1", SessionToken: "token1", Expiration: noon().Add(9 * time.Second)},
		{AccessKeyID: "ASIA2", SecretAccessKey: "secret2", SessionToken: "token2", Expiration: noon().Add(14 * time.Second)},
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		before string // the client's last answer, at noon; "": none
		status int
		body   string
		now    time.Duration // since noon
		want   string        // part of the error; "": none
	}{
		{"first answer", "", 200, firstBody, 0, ""},
		{"same answer", firstBody, 200, firstBody, time.Second, ""},
		{"renewed", firstBody, 200, secondBody, 8 * time.Second, ""},
		{"last moment before expiry", "", 200, firstBody, 9*time.Second - 1, ""},
		{"expired", "", 200, firstBody, 9 * time.Second, "credentials that expired at 2026-11-24T12:00:09Z"},
		{"same answer, expired", firstBody, 200, firstBody, 9 * time.Second, "credentials that expired"},
		{"earlier expiration", secondBody, 200, firstBody, time.Second, "credentials that expire at 2026-11-24T12:00:09Z, after others that expire at 2026-11-24T12:00:14Z"},
		{"unavailable", firstBody, 503, `{"code":"CredentialsUnavailable"}`, 0, `status 503: {"code":"CredentialsUnavailable"}`},
		{"wrong status", firstBody, 203, firstBody, 0, "status 203"},
		{"empty", "", 200, "", 0, "no credentials"},
		{"not issued", firstBody, 200, strings.Replace(firstBody, "token1", "token3", 1), 0, "not a set of credentials that STS has issued"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := checker{expiration: func(body []byte) (time.Time, error) { return issuedExpiration(body, issued()) }}
			if tt.before != "" {
				if err := c.check(200, []byte(tt.before), noon()); err != nil {
					t.Fatal(err)
				}
			}
			testError(t, c.check(tt.status, []byte(tt.body), noon().Add(tt.now)), tt.want)
		})
	}
}

func TestIssuedExpiration(t *testing.T) {
	with := func(old, replacement string) string { return strings.Replace(firstBody, old, replacement, 1) }
	const notIssued = "not a set of credentials that STS has issued"
	tests := []struct {
		name string
		body string
		want string // part of the error; "": none
	}{
		{"issued", firstBody, ""},
		{"cut off", firstBody[:len(firstBody)-1], "no credentials"},
		{"trailing data", firstBody + "{}", "no credentials"},
		{"no access key ID", with("AccessKeyId", "Other"), notIssued},
		{"no secret access key", with("SecretAccessKey", "Other"), notIssued},
		{"no token", with("Token", "Other"), notIssued},
		{"no expiration", with("Expiration", "Other"), notIssued},
		{"unknown access key ID", with("ASIA1", "ASIA3"), notIssued},
		{"unknown secret access key", with("secret1", "secret3"), notIssued},
		{"unknown token", with("token1", "token3"), notIssued},
		{"wrong expiration", with(":09Z", ":10Z"), notIssued},
		{"parts of two sets", with("token1", "token2"), notIssued},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := issuedExpiration([]byte(tt.body), issued())
			testError(t, err, tt.want)
			if end := issued()[0].Expiration; err == nil && !got.Equal(end) {
				t.Errorf("expires at %v, want %v", got, end)
			}
		})
	}
}

// Credentials that expire earlier must not become the reference for later answers.
func TestCheckRemembersTheLatest(t *testing.T) {
	now := time.Now()
	expiration := map[string]time.Time{"early": now.Add(time.Minute), "late": now.Add(time.Hour)}
	c := checker{expiration: func(body []byte) (time.Time, error) { return expiration[string(body)], nil }}
	testError(t, c.check(200, []byte("late"), now), "")
	for range 2 {
		testError(t, c.check(200, []byte("early"), now), "after others that expire at")
	}
	testError(t, c.check(200, []byte("late"), now), "")
}

func TestKilobyteExpiration(t *testing.T) {
	tests := []struct {
		name string
		body string
		want string
	}{
		{"a kilobyte", strings.Repeat("x", 1024), ""},
		{"less", strings.Repeat("x", 1023), "1023 bytes"},
		{"empty", "", "0 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := checker{expiration: kilobyteExpiration}
			testError(t, c.check(200, []byte(tt.body), time.Now()), tt.want)
		})
	}
}

// testError checks that err contains want, or is nil if want is empty.
func testError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil && want != "":
		t.Errorf("no error, want %q", want)
	case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
		t.Errorf("%v, want %q", err, want)
	}
}
