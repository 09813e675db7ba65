package credentials

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/standin"
)

// loop is a Refresher under test, its provider and its clock. All of it lives
// in a synctest bubble.
type loop struct {
	*Refresher
	skew   atomic.Int64 // how far the wall clock is ahead, as a Duration
	answer func(ctx context.Context, call int) (aws.Credentials, error)
	log    bytes.Buffer

	mu    sync.Mutex
	times []time.Time // when the provider was called, guarded by mu
	ends  []*reason   // why the attempt before each call failed, guarded by mu
}

// calls returns the times at which the provider was called.
func (l *loop) calls() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times)
}

// start runs a Refresher with hour-long credentials. answer answers the provider's
// calls, which are counted from 0; a nil answer grants an hour.
func start(t *testing.T, answer func(ctx context.Context, call int) (aws.Credentials, error)) *loop {
	t.Helper()
	return startWith(t, rand.Float64, answer)
}

// startWith does so with these random numbers.
func startWith(t *testing.T, random func() float64, answer func(ctx context.Context, call int) (aws.Credentials, error)) *loop {
	t.Helper()
	l := &loop{answer: answer}
	l.Refresher = NewRefresher(aws.CredentialsProviderFunc(l.provide), "STS", time.Hour, stsCodes(),
		slog.New(slog.NewJSONHandler(&l.log, nil)), prometheus.NewRegistry())
	l.now = func() time.Time { return time.Now().Add(time.Duration(l.skew.Load())).Round(0) }
	l.random = random
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return l
}

// provide is the provider. It records each call.
func (l *loop) provide(ctx context.Context) (aws.Credentials, error) {
	l.mu.Lock()
	call := len(l.times)
	l.times = append(l.times, time.Now())
	l.ends = append(l.ends, l.state.Load().reason)
	l.mu.Unlock()
	if l.answer == nil {
		return granted(time.Hour), nil
	}
	return l.answer(ctx, call)
}

// sleep waits for d, and then until the loop is idle.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// granted returns credentials that STS issues now for lifetime.
func granted(lifetime time.Duration) aws.Credentials {
	return aws.Credentials{
		AccessKeyID: "ASIA" + time.Now().Format("150405"), SecretAccessKey: "secret", SessionToken: "session",
		CanExpire: true, Expires: time.Now().Add(lifetime).UTC(), AccountID: "111122223333",
	}
}

func denied() (aws.Credentials, error) {
	return aws.Credentials{}, newReason("AccessDenied", "Not authorized")
}

func (l *loop) wantCode(t *testing.T, want string) {
	t.Helper()
	_, err := l.Current()
	if r, ok := errors.AsType[coded](err); !ok || r.ErrorCode() != want {
		t.Errorf("got error %v, want one with code %s", err, want)
	}
}

func (l *loop) wantServed(t *testing.T) aws.Credentials {
	t.Helper()
	c, err := l.Current()
	if err != nil {
		t.Errorf("%v after the start: %v", time.Since(l.calls()[0]), err)
	}
	return c
}

func (l *loop) wantCalls(t *testing.T, want int) {
	t.Helper()
	if len(l.calls()) != want {
		t.Errorf("%d calls, want %d: %v", len(l.calls()), want, l.calls())
	}
}

const role = "arn:aws:iam::111122223333:role/team/app"

var issuer = standin.NewIssuer("https://issuer.example")

// stsCodes returns the codes of the errors of the real client.
func stsCodes() (codes []string) {
	for _, reason := range sts.Reasons() {
		codes = append(codes, reason.Code)
	}
	return codes
}

// identity is a stscreds.IdentityTokenRetriever that returns this token.
type identity string

func (i identity) GetIdentityToken() ([]byte, error) { return []byte(i), nil }

// exchange exchanges token for credentials, in one attempt.
func exchange(ctx context.Context, client *sts.Client, token string) (aws.Credentials, error) {
	return stscreds.NewWebIdentityRoleProvider(client, role, identity(token), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = "pod-1"
		o.Duration = time.Hour
	}).Retrieve(ctx)
}

// newStandin returns a stand-in for STS that knows role, and its server.
func newStandin(t testing.TB) (*standin.STS, *httptest.Server) {
	t.Helper()
	fake := standin.NewSTS(issuer)
	fake.AddRole(standin.Role{ARN: role})
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	return fake, srv
}

// pipeListener is a listener whose connections are in-memory pipes.
type pipeListener chan net.Conn

// transport returns a transport that always connects to ln.
func (ln pipeListener) transport() *http.Transport {
	transport := sts.NewTransport(nil)
	transport.DialContext = ln.dial
	transport.DialTLSContext = ln.dial // what is dialled for an https URL is taken for TLS
	return transport
}

func (ln pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	ln <- server
	return client, nil
}

func (ln pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-ln; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (ln pipeListener) Close() error   { close(ln); return nil }
func (ln pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
