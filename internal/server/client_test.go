package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const (
	testPath = "/v1/credentials"

	// patience bounds what a test waits for on a real socket.
	patience = 10 * time.Second
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

// golden is what a door answers with for sample.
const golden = `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key","Token":"session/+token==",` +
	`"Expiration":"2031-05-06T07:08:09Z","AccountId":"444455556666","RoleArn":"arn:aws:iam::111122223333:role/app"}`

// always provides credentials that are there.
func always(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// pending provides sample once ready is closed; until then it makes everybody
// wait as long as their context allows, and then fails with err.
type pending struct {
	ready chan struct{}
	err   error
}

func (p *pending) Retrieve(ctx context.Context) (aws.Credentials, error) {
	select {
	case <-p.ready:
		return sample(), nil
	default:
	}
	select {
	case <-p.ready:
		return sample(), nil
	case <-ctx.Done():
		return aws.Credentials{}, p.err
	}
}

// failure is a reason as the provider gives it.
type failure struct{ code, message string }

func (f *failure) Error() string        { return f.code + ": " + f.message }
func (f *failure) ErrorCode() string    { return f.code }
func (f *failure) ErrorMessage() string { return f.message }

// newDoor returns a door at testPath with metrics of its own.
func newDoor(provider aws.CredentialsProvider, authorization *Authorization) *door {
	return NewDoor(Guard{Path: testPath, Authorization: authorization}, ContainerCredentials(testRole),
		provider, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).(*door)
}

// mustAuthorize returns the Authorization of a token that is known to be good.
func mustAuthorize(t testing.TB, token string) *Authorization {
	t.Helper()
	a, err := NewAuthorization(token)
	if err != nil {
		t.Fatal(err)
	}
	return a
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

// listen listens on addr, or skips the test where the machine has no IPv6.
func listen(t testing.TB, addr string) net.Listener {
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
	ln := listen(t, "127.0.0.1:0")
	serveOn(t, ln, handler, slog.New(slog.DiscardHandler))
	return ln.Addr().String()
}

// serveOn serves handler on ln until the test ends.
func serveOn(t testing.TB, ln net.Listener, handler http.Handler, log *slog.Logger) {
	t.Helper()
	ctx, ended := t.Context(), make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, handler, NewLimit(DoorConnections), log) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// dial connects to addr until the test ends, for patience at the most.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// reply is an answer; its body is as it was on the wire.
type reply struct {
	status int
	header http.Header
	body   string
}

// exchange sends a request, written with bare line breaks and without the
// empty line at its end, over a connection of its own and returns the answer.
func exchange(t testing.TB, addr, request string) reply {
	t.Helper()
	conn := dial(t, addr)
	defer conn.Close()
	return exchangeOn(t, conn, request+"\nConnection: close")
}

// exchangeOn is exchange over conn, which the server is expected to close.
func exchangeOn(t testing.TB, conn net.Conn, request string) reply {
	t.Helper()
	if _, err := io.WriteString(conn, wire(request)); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", raw, err)
	}
	return parse(t, string(raw))
}

// wire returns a request as it is sent.
func wire(request string) string {
	return strings.ReplaceAll(request, "\n", "\r\n") + "\r\n\r\n"
}

func parse(t testing.TB, raw string) reply {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	line, fields, _ := strings.Cut(head, "\r\n")
	var minor int
	r := reply{body: body}
	if _, err := fmt.Sscanf(line, "HTTP/1.%d %d", &minor, &r.status); err != nil {
		t.Fatalf("status line of %q: %v", raw, err)
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("header of %q: %v", raw, err)
	}
	r.header = http.Header(header)
	return r
}

// fault returns what an error's body says; it holds a code, a message and
// nothing else.
func (r reply) fault(t testing.TB) (code, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	if len(body) != 2 || body["code"] == "" || body["message"] == "" {
		t.Errorf("body %q, want a code and a message", r.body)
	}
	return body["code"], body["message"]
}

// count returns the value of a counter.
func count(c prometheus.Collector) int { return int(testutil.ToFloat64(c)) }

// checkCounts checks that d has counted one request, answered with code and
// refused for reason, and no other; an empty code or reason is none.
func checkCounts(t testing.TB, d *door, code, reason string) {
	t.Helper()
	for _, c := range []string{"200", "401", "403", "404", "405", "503"} {
		if n, want := count(d.metrics.requests.WithLabelValues(c)), btoi(c == code); n != want {
			t.Errorf("%d requests answered with %s, want %d", n, c, want)
		}
	}
	for _, r := range []string{"host", "forwarded", "path", "method", "authorization"} {
		if n, want := count(d.metrics.refused.WithLabelValues(r)), btoi(r == reason); n != want {
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
