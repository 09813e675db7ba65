package standin_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// success is what a client reads from a successful answer.
type success struct {
	XMLName     xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
	Credentials *struct {
		AccessKeyID     *string `xml:"AccessKeyId"`
		SecretAccessKey *string
		SessionToken    *string
		Expiration      *time.Time
	} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
}

// send requests credentials and returns the answer and its body. If reading the
// body fails, it returns the part that it has read, and the error.
func (s service) send(t *testing.T) (*http.Response, string, error) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(s.request(t, s.form()))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestFaultsThatAnswer(t *testing.T) {
	s := newService(t)
	tests := []struct {
		name    string
		fault   standin.Fault
		status  int
		outcome string
		want    func(t *testing.T, resp *http.Response, body string)
	}{
		{"none", nil, 200, "", func(t *testing.T, _ *http.Response, body string) {
			if c := parse(t, body).Credentials; c == nil || *c.SessionToken == "" || !c.Expiration.After(time.Now()) {
				t.Errorf("got %s", body)
			}
		}},
		{"Refuse", standin.Refuse(503, "ServiceUnavailable", "later"), 503, "ServiceUnavailable", func(t *testing.T, _ *http.Response, body string) {
			var e errorAnswer
			if err := xml.Unmarshal([]byte(body), &e); err != nil || e.Type != "Receiver" || e.Code != "ServiceUnavailable" || e.Message != "later" {
				t.Errorf("%v in %s", err, body)
			}
		}},
		{"EchoToken", standin.EchoToken(), 400, "InvalidIdentityToken", func(t *testing.T, _ *http.Response, body string) {
			requests := s.Requests()
			if token := requests[len(requests)-1].Form.Get("WebIdentityToken"); !strings.Contains(body, token) {
				t.Errorf("no token in %s", body)
			}
		}},
		{"Answer", standin.Answer(502, "text/html", "<html>"), 502, standin.Faulted, func(t *testing.T, resp *http.Response, body string) {
			if resp.Header.Get("Content-Type") != "text/html" || body != "<html>" {
				t.Errorf("got %v, %s", resp.Header, body)
			}
		}},
		{"Redirect", standin.Redirect(307, "http://127.0.0.1:1/"), 307, standin.Faulted, func(t *testing.T, resp *http.Response, _ string) {
			if resp.Header.Get("Location") != "http://127.0.0.1:1/" {
				t.Errorf("got %v", resp.Header)
			}
		}},
		{"Drip", standin.Drip(time.Microsecond), 200, "", func(t *testing.T, _ *http.Response, body string) {
			if parse(t, body).Credentials == nil {
				t.Errorf("got %s", body)
			}
		}},
		{"HugeBody", standin.HugeBody(200, 1_000_000), 200, standin.Faulted, func(t *testing.T, _ *http.Response, body string) {
			if len(body) != 1_000_000 || !strings.HasPrefix(body, "<AssumeRole") {
				t.Errorf("got %d bytes", len(body))
			}
		}},
		{"HugeBody of an error", standin.HugeBody(400, 1_000_000), 400, standin.Faulted, func(t *testing.T, _ *http.Response, body string) {
			if len(body) != 1_000_000 || !strings.HasPrefix(body, "<ErrorResponse>") {
				t.Errorf("got %d bytes", len(body))
			}
		}},
		{"NoCredentials", standin.NoCredentials(), 200, "", func(t *testing.T, _ *http.Response, body string) {
			if parse(t, body).Credentials != nil {
				t.Errorf("got %s", body)
			}
		}},
		{"EmptyCredentials", standin.EmptyCredentials(), 200, "", func(t *testing.T, _ *http.Response, body string) {
			if c := parse(t, body).Credentials; *c.AccessKeyID+*c.SecretAccessKey+*c.SessionToken != "" || !c.Expiration.After(time.Now()) {
				t.Errorf("got %s", body)
			}
		}},
		{"NoExpiration", standin.NoExpiration(), 200, "", func(t *testing.T, _ *http.Response, body string) {
			if c := parse(t, body).Credentials; c.Expiration != nil || *c.SessionToken == "" {
				t.Errorf("got %s", body)
			}
		}},
		{"ExpiredCredentials", standin.ExpiredCredentials(), 200, "", func(t *testing.T, _ *http.Response, body string) {
			if c := parse(t, body).Credentials; !c.Expiration.Before(time.Now()) || *c.SessionToken == "" {
				t.Errorf("got %s", body)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Next(tt.fault)
			resp, body, err := s.send(t)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			tt.want(t, resp, body)
			if requests := s.Requests(); requests[len(requests)-1].Outcome != tt.outcome {
				t.Errorf("outcome %q, want %q", requests[len(requests)-1].Outcome, tt.outcome)
			}
		})
	}
}

func parse(t *testing.T, body string) success {
	t.Helper()
	var s success
	if err := xml.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return s
}

func TestFaultsThatCutOff(t *testing.T) {
	s := newService(t)
	s.Next(standin.HalfBody(), standin.Reset())
	if resp, body, err := s.send(t); !errors.Is(err, io.ErrUnexpectedEOF) || int64(len(body)) != resp.ContentLength/2 {
		t.Errorf("HalfBody: %v after %d bytes", err, len(body))
	}
	if _, _, err := s.send(t); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Reset: %v, want ECONNRESET", err)
	}
}

func TestResetOverTLS(t *testing.T) {
	s := standin.NewSTS()
	s.Always(standin.Reset())
	server := httptest.NewTLSServer(s)
	defer server.Close()
	_, err := server.Client().Post(server.URL, "application/x-www-form-urlencoded", strings.NewReader("Action=AssumeRoleWithWebIdentity"))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want ECONNRESET", err)
	}
}

// A server can only be closed once its handlers have returned, so a fault that
// outlives its client would hang every test.
func TestFaultsEndWithTheClient(t *testing.T) {
	for name, fault := range map[string]standin.Fault{"Hang": standin.Hang(), "Drip": standin.Drip(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			done := make(chan struct{})
			s.Always(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fault(next).ServeHTTP(w, r)
					close(done)
				})
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			resp, err := http.DefaultClient.Do(s.request(t, s.form()).WithContext(ctx))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want a timeout", err)
			}
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("the fault did not end with its client")
			}
		})
	}
}

func TestFaultOrder(t *testing.T) {
	s := newService(t)
	s.Always(standin.Refuse(500, "InternalFailure", ""))
	s.Next(standin.Refuse(400, "Throttling", "Rate exceeded"), nil)
	for n, want := range []int{400, 200, 500, 500} {
		resp, _, err := s.send(t)
		if err != nil || resp.StatusCode != want {
			t.Errorf("request %d: %v, %v, want %d", n, resp, err, want)
		}
	}
	s.Always(nil)
	if creds, err := s.retrieve(t.Context()); err != nil || !creds.HasKeys() {
		t.Errorf("after Always(nil): %v", err)
	}
	if got := len(s.Requests()); got != 5 {
		t.Errorf("%d requests recorded, want 5", got)
	}
}
