package credentials

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
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

// trial is a Refresher over the real client of STS, and all that it depends on:
// STS and the network to it, the token, the clocks, and chance. It lives in a
// synctest bubble, and keeps the books that the promises are held against.
type trial struct {
	*Refresher
	sts    *standin.STS
	reg    *prometheus.Registry
	cancel context.CancelFunc
	ended  chan error // of Run

	wallAhead, stsAhead atomic.Int64 // their clocks, of the bubble's, as a Duration

	// The fields below are the test's, which has locked mu, except while it sleeps.
	mu    sync.Mutex
	token string // what the file holds; empty: there is no file
	log   bytes.Buffer
	stsState
	books
}

// stsState is what decides whether STS grants credentials.
type stsState struct {
	fails           bool          // whatever comes
	failures        int           // that are still to come
	grants          time.Duration // how long credentials last
	distrusts       bool          // as the role has it
	issued, expires time.Time     // of the token; zero: it is not a good one
}

// wouldGrant tells whether STS would grant credentials that can be used for long
// enough to renew them in time.
func (w *trial) wouldGrant() bool {
	const (
		leeway   = 5 * time.Minute // of the stand-in, for tokens issued ahead of its clock
		shortest = 12 * time.Second
	)
	stsAhead, wallAhead := time.Duration(w.stsAhead.Load()), time.Duration(w.wallAhead.Load())
	now := time.Now().Add(stsAhead)
	return !w.fails && w.failures == 0 && !w.distrusts &&
		!now.Add(leeway).Before(w.issued) && now.Before(w.expires) &&
		w.grants > shortest && w.grants+stsAhead-wallAhead > shortest
}

// books are what a trial knows beside the Refresher.
type books struct {
	attempts []attempt
	best     aws.Credentials // the ones to serve, by what the provider returned
	tokens   []string        // all that were ever in the file
	broken   []string        // promises, by what happened

	jumped      time.Time // the latest jump of the wall clock
	jumpedAhead bool      // since the latest attempt began it did, forward
	woken       bool      // since the latest attempt began there was a Wake
	works       time.Time // since when STS would grant usable credentials; zero: it would not
	served      aws.Credentials
}

// attempt is one that the Refresher made. Its times are those of the bubble's
// clock, which nobody sets.
type attempt struct {
	began, ended time.Time
	wall         time.Time // at its end
	credentials  aws.Credentials
	err          error
}

// sent tells whether the attempt came as far as STS.
func (a attempt) sent() bool { return a.err == nil || reasonFor(a.err, stsCodes()).code != codeToken }

// newTrial starts a Refresher of hour-long credentials, whose chance comes from
// seed; the token is there, or will come late.
func newTrial(t *testing.T, seed uint64, late bool) *trial {
	w := &trial{sts: standin.NewSTS(issuer), reg: prometheus.NewRegistry(), ended: make(chan error, 1)}
	w.sts.AddRole(standin.Role{ARN: role})
	w.grants = time.Hour
	if !late {
		w.publishGood()
	}
	w.sts.SetClock(func() time.Time { return time.Now().Add(time.Duration(w.stsAhead.Load())) })
	client := sts.New(sts.Options{Endpoint: "http://sts.example", Transport: w.network(t)}, w.reg)
	provider := stscreds.NewWebIdentityRoleProvider(client, role, w, func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName, o.Duration = "pod-1", time.Hour
	})
	w.Refresher = NewRefresher(w.bookkeeper(provider), time.Hour, stsCodes(), slog.New(slog.NewJSONHandler(w, nil)), w.reg)
	w.now = func() time.Time { return time.Now().Add(time.Duration(w.wallAhead.Load())).Round(0) }
	w.random = rand.New(rand.NewPCG(seed, 0)).Float64
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.ended <- w.Run(ctx) }()
	w.mu.Lock()
	w.sleep(0)
	return w
}

// network returns a transport to the stand-in for STS. Its connections are in
// memory, because the clock of a bubble waits for sockets.
func (w *trial) network(t *testing.T) http.RoundTripper {
	ln := make(pipeListener)
	srv := &http.Server{Handler: w.sts}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.transport()
}

// pipeListener hands the other ends of dialled pipes to a server.
type pipeListener chan net.Conn

// transport returns one whose every connection goes to ln.
func (ln pipeListener) transport() http.RoundTripper {
	transport := sts.NewTransport(nil)
	transport.DialContext = ln.dial
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

// bookkeeper is a provider that enters each attempt in the books.
func (w *trial) bookkeeper(provider aws.CredentialsProvider) aws.CredentialsProviderFunc {
	return func(ctx context.Context) (aws.Credentials, error) {
		w.mu.Lock()
		w.checkSpacing()
		w.attempts = append(w.attempts, attempt{began: time.Now()})
		storm := len(w.broken) > 0
		w.mu.Unlock()
		if storm {
			<-ctx.Done() // or the time of the bubble might stand still
		}
		c, err := provider.Retrieve(ctx)
		now := w.now()
		w.mu.Lock()
		defer w.mu.Unlock()
		latest := &w.attempts[len(w.attempts)-1]
		latest.ended, latest.wall, latest.credentials, latest.err = time.Now(), now, c, err
		if err == nil && whole(c) && c.Expires.After(now) && !c.Expires.Before(w.best.Expires) {
			w.best = c
		} else if err == nil {
			latest.err = newReason(codeInvalidResponse, "to be refused")
		}
		return c, err
	}
}

// whole tells whether c lacks nothing.
func whole(c aws.Credentials) bool {
	return c.AccessKeyID != "" && c.SecretAccessKey != "" && c.SessionToken != "" && c.CanExpire
}

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (w *trial) GetIdentityToken() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token == "" {
		return nil, newReason(codeToken, "token file does not exist")
	}
	return []byte(w.token), nil
}

// Write takes the log.
func (w *trial) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// sleep lets d pass and the Refresher come to rest.
func (w *trial) sleep(d time.Duration) {
	w.mu.Unlock()
	defer w.mu.Lock()
	sleep(d)
}

// ask is a client that takes what is there, or waits for the very first
// credentials as long as the door lets it.
func (w *trial) ask(hold time.Duration) (aws.Credentials, error) {
	w.mu.Unlock()
	defer w.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), hold)
	defer cancel()
	c, err := w.Retrieve(ctx)
	synctest.Wait() // it may have woken the Refresher
	return c, err
}

// end tells Run to end, and returns within what time it did.
func (w *trial) end() (time.Duration, error) {
	w.mu.Unlock()
	defer w.mu.Lock()
	told := time.Now()
	w.cancel()
	select {
	case err := <-w.ended:
		return time.Since(told), err
	case <-time.After(time.Hour):
		return time.Hour, errors.New("it goes on")
	}
}
