// Package credentials keeps the credentials of a role fresh: it asks STS for
// them well before the old ones end, and answers from memory meanwhile.
//
// It exists apart from token and server because it is all time: everything in
// it can be tested on a clock that only seems to run.
package credentials

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// attemptTimeout bounds one attempt: STS answers in well under a second,
	// and what hangs for ten will not answer.
	attemptTimeout = 10 * time.Second

	// recheckPeriod is how often a waiting loop looks at the wall clock, which
	// moves on while a suspended machine's timers stand still; a client that
	// finds expired credentials makes it look at once.
	recheckPeriod = 30 * time.Second

	// shortLifetime is what credentials must live for, for their renewal at
	// 65 % to come before the 15 minutes within which SDKs ask at every call.
	shortLifetime = 45 * time.Minute
)

// Refresher is an aws.CredentialsProvider that renews the credentials of
// another one ahead of time and answers from memory. Its methods are safe for
// concurrent use; one goroutine must run Run.
type Refresher struct {
	provider aws.CredentialsProvider
	lifetime time.Duration // what provider asks for
	log      *slog.Logger
	metrics  *metrics
	now      func() time.Time // the wall clock
	random   func() float64   // uniform in [0,1)

	state atomic.Pointer[snapshot] // written by Run alone
	first chan struct{}            // closed once state has credentials
	wake  chan struct{}
	look  chan struct{} // at the clock, which has jumped
}

// snapshot is what is known at a moment; it never changes.
type snapshot struct {
	credentials aws.Credentials // none: AccessKeyID is empty
	reason      *reason         // why the latest attempt failed; nil: it did not
}

// remaining returns for how long the credentials are valid yet, 0 if they are not.
func (s *snapshot) remaining(now time.Time) time.Duration {
	if s.credentials.AccessKeyID == "" {
		return 0
	}
	return max(0, s.credentials.Expires.Sub(now))
}

// NewRefresher returns a Refresher of the credentials of provider, which asks
// for a lifetime of that length. Its metrics are registered with reg.
func NewRefresher(provider aws.CredentialsProvider, lifetime time.Duration, log *slog.Logger, reg prometheus.Registerer) *Refresher {
	r := &Refresher{
		provider: provider,
		lifetime: lifetime,
		log:      log,
		metrics:  newMetrics(reg),
		now:      func() time.Time { return time.Now().Round(0) },
		random:   rand.Float64,
		first:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
		look:     make(chan struct{}, 1),
	}
	r.state.Store(&snapshot{reason: newReason(codeOther, "STS has not answered the first request yet")})
	return r
}

// Retrieve returns credentials that have not expired, from memory. Before the
// very first ones it waits as long as ctx allows; an ended ctx asks for what
// is there now.
//
// An error says why there are none. Its methods ErrorCode and ErrorMessage
// give a value of the result label of irsa_sidecar_refreshes_total, and a
// sentence for a person.
func (r *Refresher) Retrieve(ctx context.Context) (aws.Credentials, error) {
	select {
	case <-r.first:
	default:
		select {
		case <-r.first:
		case <-ctx.Done():
		}
	}
	s := r.state.Load()
	if s.remaining(r.now()) > 0 {
		return s.credentials, nil
	}
	// Perhaps the clock has jumped, or the machine slept.
	notify(r.look)
	if s.reason != nil {
		return aws.Credentials{}, s.reason
	}
	return aws.Credentials{}, newReason(codeOther, fmt.Sprintf("credentials expired at %s and are being renewed", s.credentials.Expires.UTC().Format(time.RFC3339)))
}

// Wake says that the identity token has changed. It brings the next attempt
// forward if the latest one failed, but never to within five seconds of the
// last call to STS; otherwise the next refresh reads the token anyway. It
// never blocks.
func (r *Refresher) Wake() { notify(r.wake) }

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the credentials fresh until ctx is done, and then returns nil. No
// failure is final: the wait between attempts grows, the last good credentials
// are served until their last second. Only Run calls the provider.
func (r *Refresher) Run(ctx context.Context) error {
	var (
		failures int
		short    bool      // the log says that the credentials are short-lived
		lastCall time.Time // the end of the last call that reached STS
	)
	r.log.Info("asking STS for the first credentials")
	for ctx.Err() == nil {
		r.warnExpired()
		why := r.refresh(ctx)
		if ctx.Err() != nil {
			break
		}
		if why == nil || why.code != codeToken {
			lastCall = time.Now()
		}
		s := r.state.Load()
		// With a clock that is slow they seem to last longer than was asked for.
		remaining := min(s.remaining(r.now()), r.lifetime)
		var delay time.Duration
		if why == nil {
			failures = 0
			delay = RefreshDelay(remaining, r.random())
			r.log.Info("credentials refreshed", "expiration", s.credentials.Expires.UTC(), "next_refresh_in", delay.Round(time.Second).String())
			short = r.warnShort(remaining, short)
			// A handshake parses all root certificates, and the next one is half
			// an hour away. Nobody waits for this: the credentials are out.
			debug.FreeOSMemory()
		} else {
			failures++
			delay = Backoff(failures, remaining, r.random())
			r.logFailure(why, failures, remaining, delay)
		}
		r.wait(ctx, delay, lastCall.Add(minSpacing), why != nil)
	}
	return nil
}

// wait returns after delay, or when ctx is done. It returns early, but not
// before earliest, if the wall clock gets there sooner than the timer does, or
// on Wake if wakeable.
func (r *Refresher) wait(ctx context.Context, delay time.Duration, earliest time.Time, wakeable bool) {
	due, dueWall := time.Now().Add(delay), r.now().Add(delay)
	if earliest.After(due) {
		earliest = due
	}
	r.metrics.nextAttempt.Set(seconds(dueWall))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		left := max(time.Until(earliest), min(time.Until(due), dueWall.Sub(r.now())))
		if left <= 0 {
			return
		}
		timer.Reset(min(left, recheckPeriod))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.look:
		case <-r.wake:
			if wakeable {
				due = earliest
				r.metrics.nextAttempt.Set(seconds(r.now().Add(max(0, time.Until(due)))))
			}
		}
	}
}

// refresh makes one attempt, publishes what it brings, and returns why it
// failed if it did.
func (r *Refresher) refresh(ctx context.Context) *reason {
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	fresh, err := r.provider.Retrieve(attempt)
	if ctx.Err() != nil {
		return nil
	}
	old := r.state.Load()
	if err == nil {
		err = r.check(fresh, old.credentials)
	}
	if err != nil {
		why := reasonFor(err)
		r.state.Store(&snapshot{credentials: old.credentials, reason: why})
		r.metrics.failed(why.code)
		return why
	}
	r.state.Store(&snapshot{credentials: fresh})
	if old.credentials.AccessKeyID == "" {
		close(r.first)
	}
	r.metrics.succeeded(r.now(), fresh.Expires)
	return nil
}

// check tells why fresh must not take the place of old: a refresh can never
// make things worse.
func (r *Refresher) check(fresh, old aws.Credentials) error {
	switch now := r.now(); {
	case !fresh.HasKeys() || fresh.SessionToken == "" || !fresh.CanExpire:
		return newReason(codeInvalidResponse, "STS answered with incomplete credentials, which are not used")
	case !fresh.Expires.After(now):
		return newReason(codeInvalidResponse, fmt.Sprintf("STS answered with credentials that expired at %s, and here it is %s: check the clock of this node",
			fresh.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	case fresh.Expires.Before(old.Expires):
		return newReason(codeInvalidResponse, fmt.Sprintf("STS answered with credentials that end at %s, before the ones at hand do, at %s",
			fresh.Expires.UTC().Format(time.RFC3339), old.Expires.UTC().Format(time.RFC3339)))
	}
	return nil
}

// warnExpired tells of credentials that have ended although no attempt failed,
// which nothing else in the log would.
func (r *Refresher) warnExpired() {
	s := r.state.Load()
	if s.reason == nil && s.remaining(r.now()) == 0 {
		r.log.Warn("credentials have expired", "expiration", s.credentials.Expires.UTC(),
			"hint", "they were to be renewed before: the clock of this node has jumped, it was suspended, or STS grants a few seconds only")
	}
}

// warnShort warns of a short lifetime if that is news, and returns whether it is short.
func (r *Refresher) warnShort(lifetime time.Duration, known bool) bool {
	short := lifetime < shortLifetime
	if short && !known {
		r.log.Warn("credentials are short-lived", "lifetime", lifetime.Round(time.Second).String(), "asked_for", r.lifetime.String(),
			"hint", "when they are renewed, less than 15 minutes can be left, and then some SDKs ask at every call: use a --duration of 45m or more, and see that the clock is right")
	}
	return short
}

func (r *Refresher) logFailure(why *reason, failures int, remaining, delay time.Duration) {
	level := slog.LevelWarn
	if remaining == 0 {
		level = slog.LevelError
	}
	attributes := []any{"code", why.code, "error", why.message, "attempt", failures,
		"next_attempt_in", delay.Round(time.Millisecond).String(), "credentials_valid_for", remaining.Round(time.Second).String()}
	if why.requestID != "" {
		attributes = append(attributes, "request_id", why.requestID)
	}
	r.log.Log(context.Background(), level, "refresh failed", attributes...)
}
