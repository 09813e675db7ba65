package sts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// explained returns the Error in err.
func explained(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, not an Error", err)
	}
	return e
}

func TestExplainsEveryFailure(t *testing.T) {
	t.Parallel()
	good := issuer.Token(standin.Claims{})
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	tests := []struct {
		name  string
		token string // good if empty
		fault standin.Fault
		want  string // the reason's prefix
		says  string // a part of the reason
	}{
		{name: "another subject", token: issuer.Token(standin.Claims{ServiceAccount: "other"}), want: "AccessDenied: Not authorized to perform", says: "trust policy"},
		{name: "another audience", token: issuer.Token(standin.Claims{Audience: "vault"}), want: "InvalidIdentityToken: ", says: "OIDC provider"},
		{name: "another issuer", token: standin.NewIssuer("https://other.example").Token(standin.Claims{}), want: "InvalidIdentityToken: ", says: "OIDC provider"},
		{name: "another key", token: issuer.WithNewKey().Token(standin.Claims{}), want: "InvalidIdentityToken: "},
		{name: "expired token", token: issuer.Token(standin.Claims{Lifetime: -time.Minute}), want: "ExpiredTokenException: Token expired", says: "kubelet"},
		{name: "not a token", token: "aaaa.bbbb.cccc", want: "InvalidIdentityToken: "},
		{name: "issuer unreachable", fault: standin.Refuse(400, "IDPCommunicationError", "Could not reach"), want: "IDPCommunicationError: Could not reach (HTTP 400 from http://127.0.0.1:"},
		{name: "claim rejected", fault: standin.Refuse(403, "IDPRejectedClaim", "no"), want: "IDPRejectedClaim: no"},
		{name: "region disabled", fault: standin.Refuse(403, "RegionDisabledException", "no"), want: "RegionDisabledException: ", says: "activate STS"},
		{name: "policy too large", fault: standin.Refuse(400, "PackedPolicyTooLarge", "no"), want: "PackedPolicyTooLarge: ", says: "--session-policy"},
		{name: "validation", fault: standin.Refuse(400, "ValidationError", "1 validation error detected"), want: "ValidationError: 1 validation error", says: "--duration"},
		{name: "throttled by code", fault: standin.Refuse(400, "Throttling", "Rate exceeded"), want: "throttled: Rate exceeded"},
		{name: "throttled by another code", fault: standin.Refuse(503, "ThrottlingException", "Rate exceeded"), want: "throttled: "},
		{name: "throttled by status", fault: standin.Answer(429, "text/plain", "slow down"), want: "throttled: HTTP 429"},
		{name: "an unknown code", fault: standin.Refuse(400, "SomethingNew", "what"), want: "other: SomethingNew: what"},
		{name: "one of our own codes", fault: standin.Refuse(400, "token", "what"), want: "other: token: what"},
		{name: "server error", fault: standin.Refuse(500, "InternalFailure", "oops"), want: "other: InternalFailure: oops"},
		{name: "server error with a listed code", fault: standin.Refuse(500, "AccessDenied", "oops"), want: "other: AccessDenied: oops"},
		{name: "server error without a code", fault: standin.Answer(502, "text/html", "<html>bad gateway</html>"), want: "other: HTTP 502"},
		{name: "server error without a body", fault: standin.Answer(503, "", ""), want: "other: HTTP 503"},
		{name: "a proxy's page", fault: standin.Answer(403, "text/html", "<html>blocked</html>"), want: "invalid_response: ", says: "HTTP 403 without an AWS error code"},
		{name: "a captive portal", fault: standin.Answer(200, "text/html", "<html>sign in</html>"), want: "invalid_response: ", says: "HTTP 200"},
		{name: "JSON", fault: standin.Answer(200, "application/json", "{}"), want: "invalid_response: "},
		{name: "an error with status 200", fault: standin.Refuse(200, "AccessDenied", "no"), want: "invalid_response: "},
		{name: "an empty body", fault: standin.Answer(200, "text/xml", ""), want: "invalid_response: "},
		{name: "status 204", fault: standin.Answer(204, "", ""), want: "invalid_response: "},
		{name: "no credentials", fault: standin.NoCredentials(), want: "invalid_response: "},
		{name: "no expiration", fault: standin.NoExpiration(), want: "invalid_response: "},
		{name: "half a body", fault: standin.HalfBody(), want: "invalid_response: "},
		{name: "huge body", fault: padded("<Credentials>"), want: "invalid_response: "},
		{name: "huge error", token: issuer.Token(standin.Claims{ServiceAccount: "other"}), fault: padded("<Error>"), want: "invalid_response: "},
		{name: "endless body", fault: standin.HugeBody(200, 2*maxAnswer), want: "invalid_response: "},
		{name: "redirect", fault: standin.Redirect(307, elsewhere.URL), want: "invalid_response: ", says: "redirect"},
		{name: "permanent redirect", fault: standin.Redirect(308, elsewhere.URL), want: "invalid_response: ", says: "redirect"},
		{name: "moved", fault: standin.Redirect(302, elsewhere.URL), want: "invalid_response: ", says: "redirect"},
		{name: "reset", fault: standin.Reset(), want: "network: cannot reach "},
		{name: "token echoed", fault: standin.EchoToken(), want: "InvalidIdentityToken: [dropped: it repeats the token]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sts, srv := newStandin(t)
			sts.Always(tt.fault)
			token := tt.token
			if token == "" {
				token = good
			}
			_, err := exchange(t.Context(), New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), token)
			why := explained(t, err)
			if !strings.HasPrefix(why.Error(), tt.want) || !strings.Contains(why.Error(), tt.says) {
				t.Errorf("got  %s\nwant %s … %s", why, tt.want, tt.says)
			}
			if len(sts.Requests()) != 1 {
				t.Errorf("%d requests for one attempt", len(sts.Requests()))
			}
			for segment := range strings.SplitSeq(token, ".") {
				if strings.Contains(why.Error(), segment) {
					t.Errorf("the reason repeats the token: %s", why)
				}
			}
		})
	}
}

// padded answers as STS does, with too much white space before element.
func padded(element string) standin.Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			w.WriteHeader(answer.Code)
			io.WriteString(w, strings.Replace(answer.Body.String(), element, strings.Repeat(" ", maxAnswer)+element, 1))
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, but never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	hanging, hangingSrv := newStandin(t)
	hanging.Always(standin.Hang())
	dripping, drippingSrv := newStandin(t)
	dripping.Always(standin.Drip(10 * time.Millisecond))
	full := listenFull(t)
	tests := []struct{ name, endpoint, stage string }{
		{"silent DNS", "http://sts.example", "in the DNS lookup of"},
		{"full accept queue", "http://" + full, "connecting to"},
		{"silent", "http://" + silent.Addr().String(), "waiting for the answer of"},
		{"silent with TLS", "https://" + silent.Addr().String(), "in the TLS handshake with"},
		{"hanging", hangingSrv.URL, "waiting for the answer of"},
		{"dripping", drippingSrv.URL, "waiting for the answer of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Printed as 1s, even if it takes half a second to start the call.
			ctx, cancel := context.WithTimeout(t.Context(), 1400*time.Millisecond)
			defer cancel()
			client := New(Options{Endpoint: tt.endpoint, Transport: &http.Transport{DialContext: silentDNS(t).DialContext}}, prometheus.NewRegistry())
			_, err := exchange(ctx, client, issuer.Token(standin.Claims{}))
			want := "timeout: timed out after 1s " + tt.stage + " " + tt.endpoint + ": check DNS, "
			if err == nil || !strings.HasPrefix(explained(t, err).Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// silentDNS returns a dialer whose DNS server never answers.
func silentDNS(t *testing.T) *net.Dialer {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	return &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", silent.LocalAddr().String())
	}}}
}

// listenFull listens with a full accept queue, so that the kernel drops further
// connections.
func listenFull(t *testing.T) (address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 3 {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, refusing := newStandin(t)
	refusing.Close()
	sts := standin.NewSTS(issuer)
	untrusted := httptest.NewUnstartedServer(sts)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	tests := []struct {
		name, endpoint string
		says           string
	}{
		{name: "connection refused", endpoint: refusing.URL, says: "connection refused"},
		{name: "untrusted certificate", endpoint: untrusted.URL, says: "certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := exchange(t.Context(), New(Options{Endpoint: tt.endpoint}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
			if err == nil || !strings.HasPrefix(explained(t, err).Error(), "network: cannot reach "+tt.endpoint) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want network and %q", err, tt.says)
			}
		})
	}
}

// P6: net/http quotes the part of an answer that it cannot parse, which may be credentials.
func TestPeerThatDoesNotSpeakHTTPIsNotQuoted(t *testing.T) {
	t.Parallel()
	const secret = "canary"
	for name, answer := range map[string]string{
		"no status line":           secret + "\r\n\r\n",
		"a body in a header":       "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"a body in the length":     "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"a body in the encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"a body in the status":     "HTTP/1.1 " + secret + "\r\n\r\n",
		"headers of a megabyte":    "HTTP/1.1 200 OK\r\nA: " + strings.Repeat(secret, 1<<20/len(secret)) + "\r\n\r\n",
		"a body in the chunk size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, answer)
			}))
			defer srv.Close()
			_, err := exchange(t.Context(), New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
			why := explained(t, err)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
			if code := why.code; code != codeNetwork && code != codeInvalidResponse {
				t.Errorf("code is %s", code)
			}
		})
	}
}
