package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/internal/listen"
	"irsa-sidecar/test/rawhttp"
)

const (
	testPath = "/v1/credentials"

	goodRequest = "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

var testRole = arn.ARN{Partition: "aws", Service: "iam", AccountID: "111122223333", Resource: "role/app"}

// sample returns credentials whose expiry has a fraction and another zone.
func sample() aws.Credentials {
	return aws.Credentials{
		AccessKeyID:     "ASIAEXAMPLE",
		SecretAccessKey: "secret/+key",
		SessionToken:    "session/+token==",
		AccountID:       "444455556666",
		CanExpire:       true,
		Expires:         time.Date(2031, 5, 6, 12, 38, 9, 987654321, time.FixedZone("IST", 19800)),
	}
}

// golden is the answer of the container credentials endpoint for sample.
const golden = `{"RoleArn":"arn:aws:iam::111122223333:role/app","AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key",` +
	`"Token":"session/+token==","Expiration":"2031-05-06T07:08:09Z"}`

// providerFunc is a Provider. Current calls it with a context that is done.
type providerFunc func(context.Context) (aws.Credentials, error)

func (f providerFunc) Retrieve(ctx context.Context) (aws.Credentials, error) { return f(ctx) }

func (f providerFunc) Current() (aws.Credentials, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return f(ctx)
}

// always provides the same credentials.
func always(c aws.Credentials) Provider {
	return providerFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// pending provides sample once ready is closed. Until then Retrieve waits as long as its
// context allows, and then fails with err.
type pending struct {
	ready chan struct{}
	err   error
}

func (p *pending) Retrieve(ctx context.Context) (aws.Credentials, error) {
	select {
	case <-p.ready:
	case <-ctx.Done():
	}
	return p.Current()
}

func (p *pending) Current() (aws.Credentials, error) {
	select {
	case <-p.ready:
		return sample(), nil
	default:
		return aws.Credentials{}, p.err
	}
}

// failure is an error of a provider.
type failure struct{ code, message string }

func (f *failure) Error() string        { return f.code + ": " + f.message }
func (f *failure) ErrorCode() string    { return f.code }
func (f *failure) ErrorMessage() string { return f.message }

// newEndpoint returns a container credentials endpoint at testPath with its own metrics.
func newContainer(provider Provider, authorization *Authorization) *endpoint {
	return NewContainerEndpoint(ContainerGuard{Path: testPath, Authorization: authorization}, Clients{}, ContainerCredentials(testRole),
		provider, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).(*endpoint)
}

// call sends a request to e and returns the answer and how long it took.
func call(ctx context.Context, e *endpoint) (*httptest.ResponseRecorder, time.Duration) {
	start := time.Now()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, testPath, nil)
	r.Host = "127.0.0.1"
	e.ServeHTTP(w, r)
	return w, time.Since(start)
}

// journal collects a log. It is safe for concurrent use.
type journal struct {
	mu sync.Mutex
	// mu guards the fields below.
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// logger returns a logger of everything into j.
func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openListener listens on addr, or skips the test where the machine has no IPv6.
func openListener(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if strings.HasPrefix(addr, "[::1]") && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve serves handler on 127.0.0.1 until the test ends and returns the address.
func serve(t testing.TB, handler http.Handler) string {
	t.Helper()
	ln := openListener(t, "127.0.0.1:0")
	serveOn(t, ln, handler, slog.New(slog.DiscardHandler))
	return ln.Addr().String()
}

// serveOn serves handler on ln until the test ends.
func serveOn(t testing.TB, ln net.Listener, handler http.Handler, log *slog.Logger) {
	t.Helper()
	ctx, done := t.Context(), make(chan error, 1)
	go func() {
		done <- listen.Serve(ctx, ln, handler, listen.NewLimit(listen.CredentialsConnections), nil, log)
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// fault returns the code and the message in the body of an error, which has nothing else.
func fault(t testing.TB, r rawhttp.Reply) (code, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
	if len(body) != 2 || body["code"] == "" || body["message"] == "" {
		t.Errorf("body %q, want a code and a message", r.Body)
	}
	return body["code"], body["message"]
}

// checkFraming checks what all answers of an endpoint have in common.
func checkFraming(t *testing.T, got rawhttp.Reply) {
	t.Helper()
	if length := got.Header.Get("Content-Length"); length != strconv.Itoa(len(got.Body)) {
		t.Errorf("Content-Length %q of %d bytes", length, len(got.Body))
	}
	if typ := got.Header.Get("Content-Type"); typ != "application/json" {
		t.Errorf("Content-Type %q", typ)
	}
	if control := got.Header.Get("Cache-Control"); control != "no-store" {
		t.Errorf("Cache-Control %q", control)
	}
	for name, want := range map[string]string{
		"Content-Disposition": "attachment", "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		if values := got.Header[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s: %q, want %s", name, values, want)
		}
	}
	for _, name := range []string{"Transfer-Encoding", "Content-Encoding", "Location", "Access-Control-Allow-Origin"} {
		if values, ok := got.Header[name]; ok {
			t.Errorf("%s: %q", name, values)
		}
	}
}

// count returns the value of a counter.
func count(c prometheus.Collector) int { return int(testutil.ToFloat64(c)) }

// checkCounts checks that e counted exactly one request, answered with code, and one
// refusal, for reason. An empty code or reason means none.
func checkCounts(t testing.TB, e *endpoint, code, reason string) {
	t.Helper()
	for _, c := range []string{"200", "401", "403", "404", "405", "503"} {
		if n, want := count(e.metrics.requests.WithLabelValues(c)), btoi(c == code); n != want {
			t.Errorf("%d requests answered with %s, want %d", n, c, want)
		}
	}
	for _, r := range []string{"uid", "host", "forwarded", "browser", "path", "method", "authorization"} {
		if n, want := count(e.metrics.refused.WithLabelValues(r)), btoi(r == reason); n != want {
			t.Errorf("%d requests refused for %s, want %d", n, r, want)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
