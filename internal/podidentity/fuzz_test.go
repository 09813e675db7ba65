package podidentity

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"irsa-sidecar/test/standin"
)

// Any answer becomes credentials or an error that is short, printable and without what the
// answer says.
func FuzzAnswer(f *testing.F) {
	const canary = "hunter2canary"
	for _, body := range []string{
		`{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","AccountId":"111122223333","Expiration":"2030-01-02T03:04:05.123456789Z"}`,
		"null", "[]", `"x"`, `{"Expiration":"9999-12-31T23:59:59Z"}`, `{"Expiration":"` + canary + `"}`, `{"Expiration":7}`, "404 page not found\n",
		"[8aee0e34-0000-4000-8000-000000000000]: (AccessDeniedException): " + canary + ", fault: client",
		"[" + canary + "]: (" + canary + "): x", "(HunterException): x", "Service account token failed basic claim validations: token is expired",
	} {
		for _, status := range []int{200, 302, 400, 403, 404, 429, 500} {
			f.Add(status, body)
		}
	}
	token := issuer.Token(standin.Claims{Audience: standin.AgentAudience})
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 { // net/http refuses any other
			return
		}
		answer := roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
				Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}, nil
		})
		c, err := New(standin.AgentURL, identity(token), answer).Retrieve(t.Context())
		if err == nil {
			if status != http.StatusOK || !c.CanExpire || c.Expires.IsZero() && !strings.Contains(body, "0001") {
				t.Errorf("%d %q became %+v", status, body, c)
			}
			return
		}
		got, ok := errors.AsType[*Error](err)
		text := err.Error()
		if !ok || fix(got.ErrorCode()) == "" || len(text) > 600 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text+got.ServiceRequestID(), canary) {
			t.Errorf("%d %q became %q", status, body, text)
		}
	})
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
