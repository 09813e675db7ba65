package credentials

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// trial is a Refresher with a real client and everything that they depend on: STS or the
// EKS Pod Identity agent, the network, the token, the clocks and random numbers. It lives in a synctest
// bubble and records what is needed to check the promises.
type trial struct {
	*Refresher
	grantor *grantor
	sts     *standin.STS
	other   *standin.STS   // of the fallback region
	agent   *standin.Agent // on the node
	reg     *prometheus.Registry
	cancel  context.CancelFunc
	done    chan error // the result of Run

	wallAhead, stsAhead atomic.Int64 // how far these clocks are ahead of the bubble's, as a Duration

	// mu guards the fields below. The test holds it, except while it sleeps.
	mu    sync.Mutex
	token string // the content of the file; empty: there is no file
	log   bytes.Buffer
	stsState
	records
}

// stsState decides whether STS grants credentials.
type stsState struct {
	fails           bool          // every request fails
	otherFails      bool          // every request to the fallback region fails
	failures        int           // how many more requests fail
	grants          time.Duration // the lifetime of credentials
	distrusts       bool          // the role does not accept the request
	policy          string        // the content of the session policy file; empty: unreadable
	policyTried     bool          // STS has refused this policy
	issued, expires time.Time     // of the token; zero: the token is not valid
}

// wouldGrant reports whether STS would grant credentials that last long enough to be
// refreshed in time.
func (w *trial) wouldGrant() bool {
	const leeway = 5 * time.Minute // of the stand-in, for tokens issued ahead of its clock
	shortest := w.grantor.shortest
	stsAhead, wallAhead := time.Duration(w.stsAhead.Load()), time.Duration(w.wallAhead.Load())
	now := time.Now().Add(stsAhead)
	return (!w.fails && w.failures == 0 || w.isDown() && !w.otherFails) && !w.distrusts && w.policyIsGood() &&
		!now.Add(leeway).Before(w.issued) && now.Before(w.expires) &&
		(w.grantor.name == "STS" || w.now().Before(w.expires)) && // the agent looks, too
		w.grants > shortest && w.grants+stsAhead-wallAhead > shortest
}

// isDown reports whether the latest call to the region's own STS found it down, and there is
// a fallback region.
func (w *trial) isDown() bool {
	for _, a := range slices.Backward(w.attempts) {
		if a.finished.IsZero() || a.err != nil && (!a.sent() || a.away()) {
			continue
		}
		return w.grantor.regions && a.err != nil && a.outage()
	}
	return false
}

// away reports whether a failed attempt went to the fallback region.
func (a attempt) away() bool { return strings.Contains(a.err.Error(), "fallback region") }

// outage reports whether a failed attempt found STS down.
func (a attempt) outage() bool {
	why := reasonFor(a.err, stsCodes())
	return why.code == codeTimeout || why.code == "network" || why.code == codeOther && strings.Contains(why.message, "HTTP 5")
}

// records are what a trial knows in addition to the Refresher.
type records struct {
	attempts []attempt
	best     aws.Credentials // the credentials to serve, according to the provider's answers
	tokens   []string        // every token that was ever in the file
	broken   []string        // a message for each broken promise

	jumped      time.Time // the latest jump of the wall clock
	jumpedAhead bool      // the wall clock jumped forward since the latest attempt started
	woken       bool      // Wake was called since the latest attempt started
	forced      bool      // Refresh was called since the latest attempt started
	forcedAt    time.Time // the latest call of Refresh that was not too soon
	works       time.Time // since when STS would grant usable credentials; zero: it would not
	served      aws.Credentials
}

// attempt is an attempt of the Refresher. Its times are those of the bubble's clock,
// which never jumps.
type attempt struct {
	began, finished time.Time
	wall            time.Time // at its end
	credentials     aws.Credentials
	err             error
}

// sent reports whether the attempt reached STS.
func (a attempt) sent() bool { return a.err == nil || reasonFor(a.err, nil).code != codeToken }

// throttled reports whether the attempt was throttled.
func (a attempt) throttled() bool {
	return a.err != nil && reasonFor(a.err, []string{codeThrottled}).code == codeThrottled
}

// newTrial starts a Refresher with hour-long credentials and random numbers from seed.
// If late is true, there is no token yet.
func newTrial(t *testing.T, g *grantor, seed uint64, late bool) *trial {
	w := &trial{grantor: g, sts: standin.NewSTS(issuer), other: standin.NewSTS(issuer), reg: prometheus.NewRegistry(), done: make(chan error, 1)}
	w.agent = standin.NewAgent(issuer, w.sts, role)
	w.grants, w.policy = time.Hour, goodPolicy
	g.grants(w, w.grants)
	g.trusts[0].do(w)
	if !late {
		w.publishGood()
	}
	for _, s := range []*standin.STS{w.sts, w.other} {
		s.SetClock(func() time.Time { return time.Now().Add(time.Duration(w.stsAhead.Load())) })
	}
	w.Refresher = NewRefresher(w.recording(g.provider(w, w.network(t))), g.name, g.lifetime, g.codes, slog.New(slog.NewJSONHandler(w, nil)), w.reg)
	w.now = func() time.Time { return time.Now().Add(time.Duration(w.wallAhead.Load())).Round(0) }
	w.agent.SetClock(w.now)
	w.random = rand.New(rand.NewPCG(seed, 0)).Float64
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- w.Run(ctx) }()
	w.mu.Lock()
	w.sleep(0)
	return w
}

// network returns a transport to the stand-in. Its connections are in memory:
// the clock of a bubble stops while a goroutine waits for a socket.
func (w *trial) network(t *testing.T) *http.Transport {
	ln := make(pipeListener)
	srv := &http.Server{Handler: w.grantor.handler(w)}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.transport()
}

// recording returns provider with each attempt recorded and checked.
func (w *trial) recording(provider aws.CredentialsProvider) aws.CredentialsProviderFunc {
	return func(ctx context.Context) (aws.Credentials, error) {
		w.mu.Lock()
		w.checkSpacing()
		w.attempts = append(w.attempts, attempt{began: time.Now()})
		storm := len(w.broken) > 0
		w.mu.Unlock()
		if storm {
			<-ctx.Done() // otherwise the bubble's clock might not advance
		}
		c, err := provider.Retrieve(ctx)
		now := w.now()
		w.mu.Lock()
		defer w.mu.Unlock()
		latest := &w.attempts[len(w.attempts)-1]
		believed := c
		if most := now.Add(w.grantor.lifetime + time.Hour); c.Expires.After(most) && c.Expires.After(w.best.Expires) {
			believed.Expires = slices.MaxFunc([]time.Time{most, w.best.Expires}, time.Time.Compare)
		}
		latest.finished, latest.wall, latest.credentials, latest.err = time.Now(), now, believed, err
		if err == nil && complete(c) && c.Expires.After(now) && !believed.Expires.Before(w.best.Expires) {
			w.best = believed
		} else if err == nil {
			latest.err = newReason(codeInvalidResponse, "must be rejected")
		} else {
			w.policyTried = w.policyTried || strings.Contains(err.Error(), "Syntax errors in policy")
		}
		return c, err
	}
}

// complete reports whether c has all its parts.
func complete(c aws.Credentials) bool {
	for _, part := range []string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken} {
		if strings.TrimSpace(part) == "" {
			return false
		}
	}
	return c.CanExpire
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

// Write appends a line to the log.
func (w *trial) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// sleep waits for d, and then until the Refresher is idle.
func (w *trial) sleep(d time.Duration) {
	w.mu.Unlock()
	defer w.mu.Lock()
	sleep(d)
}

// ask requests credentials as a client does. Before the first credentials it waits at
// most hold.
func (w *trial) ask(hold time.Duration) (aws.Credentials, error) {
	w.mu.Unlock()
	defer w.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), hold)
	defer cancel()
	c, err := w.Retrieve(ctx)
	synctest.Wait() // it may have woken the Refresher
	return c, err
}

// end cancels Run, and returns how long it took to return.
func (w *trial) end() (time.Duration, error) {
	w.mu.Unlock()
	defer w.mu.Lock()
	start := time.Now()
	w.cancel()
	select {
	case err := <-w.done:
		return time.Since(start), err
	case <-time.After(time.Hour):
		return time.Hour, errors.New("Run did not return")
	}
}
