package check

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Whatever a token and an answer of STS say, nothing panics, nothing controls the terminal,
// and no line is too long.
func FuzzRun(f *testing.F) {
	f.Add(`{"alg":"RS256","kid":"k"}`, `{"iss":"https://127.0.0.1:1","sub":"s","aud":"a","exp":1796000000,"iat":1795000000}`, "Not authorized", KindDenied)
	f.Add(`{"alg":"ES256"}`, `{"iss":"http://x","sub":"\u001b[2J","aud":["a","b"],"exp":1,"iat":2,"nbf":3}`, "\x1b[2J", KindAudience)
	f.Add(`{}`, `{}`, "", KindAudience)
	f.Add(`{"alg":"RS256"}`, `{"iss":"https://127.0.0.1:1/'$(id)"}`, strings.Repeat("x", 300), KindNoProvider)
	f.Add(`[]`, `[]`, "%s%n%!", KindTooLong)
	base := healthy(f)
	f.Fuzz(func(t *testing.T, header, claims, says, kind string) {
		encode := base64.RawURLEncoding.EncodeToString
		for _, signature := range []int{256, 64, 3} {
			s := new(*base)
			raw := encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, signature))
			s.ReadToken = func() ([]byte, error) { return []byte(raw), nil }
			s.Duration = 2 * time.Hour
			s.Issuer = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("not in reach") })
			s.Assume = func(context.Context, time.Duration) (aws.Credentials, *Failure) {
				return aws.Credentials{}, &Failure{Code: "other", Kind: kind, What: says, Fix: says}
			}
			var b strings.Builder
			text := Text{W: &b}
			Run(t.Context(), s, func(r Result) {
				r.Paste = strings.ReplaceAll(r.Paste, "\n", " ")
				if strings.ContainsAny(r.Paste, "\x1b\r\x00") {
					t.Errorf("%q", r.Paste)
				}
				r.Paste = ""
				text.Result(r)
			})
			for line := range strings.Lines(b.String()) {
				if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > width || strings.ContainsAny(line, "\x1b\r\x00") {
					t.Errorf("%q", line)
				}
			}
		}
	})
}
