package check

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/internal/token"
	"irsa-sidecar/test/standin"
)

const role = "arn:aws:iam::111122223333:role/team/app"

// now is the time of all tests.
var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

var granted = aws.Credentials{AccessKeyID: "ASIACANARY", SecretAccessKey: "canary-secret", SessionToken: "canary-session", Expires: now.Add(time.Hour), CanExpire: true}

// healthy returns a setup in which every step is ok. The issuer has a server of its own.
func healthy(t testing.TB) *Setup {
	t.Helper()
	issuer, transport := newIssuer(t)
	s := &Setup{
		Source: "web-identity", Why: "a role is set",
		ParseHeader: func(jwt []byte) (Header, error) { h, err := token.ParseHeader(jwt); return Header(h), err },
		ParseClaims: func(jwt []byte) (Claims, error) { c, err := token.ParseClaims(jwt); return Claims(c), err },
		Proc:        t.TempDir(),
		Now:         func() time.Time { return now },
		Region:      "eu-west-1", Partition: "aws", SessionName: "pod-1", Duration: time.Hour,
		Mesh:   func(context.Context, string) (string, bool) { return "", false },
		Issuer: transport,
		Reach: func(context.Context) (Reach, *Failure) {
			return Reach{Host: "sts.eu-west-1.amazonaws.com", DNS: 1, Connect: 1, TLS: 1, Answer: 1, Issuer: "Amazon", Date: now}, nil
		},
		Assume: func(context.Context, time.Duration) (aws.Credentials, *Failure) { return granted, nil },
		Identity: func(context.Context, aws.Credentials) (string, *Failure) {
			return "arn:aws:sts::111122223333:assumed-role/app/pod-1", nil
		},
		Endpoints: []Endpoint{{"127.0.0.1:9911", func(context.Context) error { return nil }}},
		Metadata:  "http://127.0.0.1:1",
	}
	s.Role, _ = arn.Parse(role)
	s.holds(t, issuer.Token(standin.Claims{IssuedAt: now.Add(-time.Minute)}))
	return s
}

// holds makes a file with that token the token file.
func (s *Setup) holds(t testing.TB, jwt string) {
	t.Helper()
	s.TokenFile = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(s.TokenFile, []byte(jwt), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ReadToken = token.File(s.TokenFile).GetIdentityToken
}

// newIssuer returns an issuer that is served, and a transport that trusts its server.
func newIssuer(t testing.TB) (*standin.Issuer, http.RoundTripper) {
	t.Helper()
	var issuer *standin.Issuer
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.Handler().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	issuer = standin.NewIssuer(srv.URL)
	return issuer, srv.Client().Transport
}

// results runs the steps and returns what they found, by step.
func results(t *testing.T, s *Setup) (all []Result) {
	t.Helper()
	Run(t.Context(), s, func(r Result) { all = append(all, r) })
	return all
}

// of returns the result of a step.
func of(t *testing.T, s *Setup, step string) Result {
	t.Helper()
	for _, r := range results(t, s) {
		if r.Step == step {
			return r
		}
	}
	t.Fatalf("no step %s", step)
	return Result{}
}

// firstFailure returns the first result that failed.
func firstFailure(t *testing.T, s *Setup) Result {
	t.Helper()
	for _, r := range results(t, s) {
		if r.Status == Failed {
			return r
		}
	}
	return Result{}
}

func (r Result) all() string {
	return string(r.Status) + " " + r.Step + " " + r.Text + " " + strings.Join(r.Advice, " ") + " " + r.Paste
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	for _, r := range results(t, s) {
		if r.Status != OK || strings.Contains(strings.ToLower(r.all()), "canary") {
			t.Errorf("%s", r.all())
		}
	}
}

// When somebody ends it, it ends at once, and that is no success.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Assume = func(ctx context.Context, _ time.Duration) (aws.Credentials, *Failure) {
		cancel()
		<-ctx.Done()
		return aws.Credentials{}, &Failure{Code: "timeout"}
	}
	counts := map[Status]int{}
	failed := Run(ctx, s, func(r Result) {
		counts[r.Status]++
		if r.Status == Skipped && r.Text != "interrupted" {
			t.Errorf("%s", r.all())
		}
	})
	if !failed || counts[Failed] != 0 || counts[Skipped] != 4 {
		t.Errorf("failed is %t, %v", failed, counts)
	}
}

// With wrong settings it checks what does not depend on them.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Settings, s.Hints = []string{"--listen: is wrong", "--zone: too"}, []string{"a hint"}
	s.Reach, s.Assume, s.Identity, s.Endpoints = nil, nil, nil, nil
	want := map[string]Status{"settings": Failed, "source": OK, "token file": OK, "claims": OK, "role": OK, "network": Skipped, "issuer": OK, "STS": Skipped, "identity": Skipped, "endpoints": Skipped, "metadata": OK}
	for _, r := range results(t, s) {
		if r.Status != want[r.Step] {
			t.Errorf("%s", r.all())
		}
		if r.Step == "settings" && !strings.Contains(r.all(), "--listen: is wrong; --zone: too a hint") {
			t.Errorf("%s", r.all())
		}
	}
	s.Source = ""
	if r := of(t, s, "source"); r.Status != Failed || !strings.Contains(r.all(), "AWS_CONTAINER_CREDENTIALS_FULL_URI") {
		t.Errorf("%s", r.all())
	}
}

// Without a network it calls nobody, and prints the trust policy.
func TestOffline(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Offline = true
	s.Reach, s.Assume, s.Identity, s.Endpoints, s.Issuer = nil, nil, nil, nil, nil
	skipped := 0
	for _, r := range results(t, s) {
		switch {
		case r.Status == Skipped && r.Text == "--offline":
			skipped++
		case r.Status != OK:
			t.Errorf("%s", r.all())
		}
	}
	if policy := of(t, s, "policy"); skipped != 6 || !strings.Contains(policy.Paste, `"Effect": "Allow"`) {
		t.Errorf("%d steps skipped, policy %s", skipped, policy.all())
	}
}

var errNotReadable = errors.New("token file /t is not readable for user id 9911: set fsGroup in the pod's securityContext")
