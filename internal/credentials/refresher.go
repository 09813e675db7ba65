// Package credentials keeps the credentials of a role fresh: it requests new ones well
// before the current ones expire, and answers from memory meanwhile.
//
// It is separate from token, sts and server because it is all time: everything in it
// can be tested on a fake clock.
package credentials

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// attemptTimeout bounds one attempt: STS answers in well under a second, and a
	// call that hangs for ten will not be answered.
	attemptTimeout = 10 * time.Second

	// recheckPeriod is how often a waiting loop checks the wall clock, which moves
	// on while the timers of a suspended machine stop; a client that finds expired
	// credentials makes the loop check at once.
	recheckPeriod = 30 * time.Second

	// shortLifetime is the shortest lifetime with which a refresh at 65 % of it comes
	// before the last 15 minutes, in which SDKs ask for credentials at every call.
	shortLifetime = 45 * time.Minute
)

// Refresher is an aws.CredentialsProvider that refreshes the credentials of another one
// ahead of time and answers from memory. Its methods are safe for concurrent use; one
// goroutine must run Run.
type Refresher struct {
	provider aws.CredentialsProvider
	grantor  string        // whom provider asks, in messages
	lifetime time.Duration // what provider requests, or the longest that it can get
	codes    []string      // those that a reason can have
	log      *slog.Logger
	metrics  *metrics
	now      func() time.Time // the wall clock
	random   func() float64   // uniform in [0,1)

	state   atomic.Pointer[snapshot] // written by Run alone
	first   chan struct{}            // closed once state has credentials
	wake    chan struct{}
	recheck chan struct{} // the clock, which may have jumped
	force   chan struct{} // an attempt

	mu        sync.Mutex // guards the field below
	forceable time.Time  // when Refresh may force the next attempt
}

// snapshot is what is known at one moment; it never changes.
type snapshot struct {
	credentials aws.Credentials // AccessKeyID is empty if there are none
	reason      *reason         // why the latest attempt failed; nil: it succeeded
	unasked     bool            // no attempt has ended
}

// remaining returns how long the credentials are still valid, 0 if they are not.
func (s *snapshot) remaining(now time.Time) time.Duration {
	if s.credentials.AccessKeyID == "" {
		return 0
	}
	return max(0, s.credentials.Expires.Sub(now))
}

// NewRefresher returns a Refresher of the credentials of provider, which asks grantor for
// that lifetime, or takes what there is and gets no longer one. An error of provider may
// have one of codes as its ErrorCode; any other code is reported as "other". The metrics
// are registered with reg.
func NewRefresher(provider aws.CredentialsProvider, grantor string, lifetime time.Duration, codes []string, log *slog.Logger, reg prometheus.Registerer) *Refresher {
	codes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(codes, ownCodes()))))
	r := &Refresher{
		provider: provider,
		grantor:  grantor,
		lifetime: lifetime,
		codes:    codes,
		log:      log,
		metrics:  newMetrics(codes, reg),
		now:      func() time.Time { return time.Now().Round(0) },
		random:   rand.Float64,
		first:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
		recheck:  make(chan struct{}, 1),
		force:    make(chan struct{}, 1),
	}
	r.state.Store(&snapshot{reason: newReason(codeOther, grantor+" has not answered the first request yet"), unasked: true})
	return r
}

// Retrieve returns credentials that have not expired, from memory. Before the
// very first ones it waits as long as ctx allows.
//
// An error says why there are none. Its methods ErrorCode and ErrorMessage
// give a value of the result label of irsa_sidecar_refreshes_total, and a
// sentence for a person.
func (r *Refresher) Retrieve(ctx context.Context) (aws.Credentials, error) {
	select {
	case <-r.first:
	case <-ctx.Done():
	}
	return r.Current()
}

// Current returns what Retrieve does, without waiting.
func (r *Refresher) Current() (aws.Credentials, error) {
	s := r.state.Load()
	if s.remaining(r.now()) > 0 {
		return s.credentials, nil
	}
	// The clock may have jumped, or the machine was suspended.
	notify(r.recheck)
	if s.reason != nil {
		return aws.Credentials{}, s.reason
	}
	return aws.Credentials{}, newReason(codeOther, fmt.Sprintf("credentials expired at %s and are being refreshed", s.credentials.Expires.UTC().Format(time.RFC3339)))
}

// Wake says that the identity token has changed. If the latest attempt failed, it brings
// the next one forward, but never to within five seconds of the last call to STS. If it
// succeeded, Wake does nothing: the next refresh reads the token anyway. It never blocks.
func (r *Refresher) Wake() { notify(r.wake) }

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the credentials fresh until ctx is done, and then returns nil. No failure is
// final: the wait between attempts grows, and the last good credentials are served until
// their last second. Only Run calls the provider.
func (r *Refresher) Run(ctx context.Context) error {
	var (
		failures Failures
		short    bool      // the log says that the credentials are short-lived
		lastCall time.Time // the end of the last call that reached STS
	)
	r.log.Info("asking for the first credentials")
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
		// With a slow clock they seem to last longer than they can.
		remaining := min(s.remaining(r.now()), r.lifetime)
		var delay time.Duration
		if why == nil {
			failures = Failures{}
			delay = RefreshDelay(remaining, r.random())
			r.log.Info("credentials refreshed", "expiration", s.credentials.Expires.UTC(), "next_refresh_in", delay.Round(time.Second).String())
			short = r.warnShort(remaining, short)
			// A handshake parses all root certificates, and the next one is half
			// an hour away. Nobody waits for this: the credentials are published.
			debug.FreeOSMemory()
		} else {
			failures, delay = failures.Add(why.code == codeThrottled, remaining, r.random())
			if why.elsewhere {
				delay = min(delay, remaining+untilElsewhere(r.random()))
			}
			r.logFailure(why, failures.InARow, remaining, delay)
		}
		r.wait(ctx, delay, lastCall.Add(minSpacing), why != nil)
	}
	return nil
}

// wait returns after delay, or when ctx is done. It returns early, but not before
// earliest, if the wall clock gets there sooner than the timer does, on Refresh, or on Wake
// if wakeable.
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
		case <-r.recheck:
		case <-r.force:
			r.hurry(&due, earliest)
		case <-r.wake:
			if wakeable {
				r.hurry(&due, earliest)
			}
		}
	}
}

// hurry brings what is due forward to earliest.
func (r *Refresher) hurry(due *time.Time, earliest time.Time) {
	*due = earliest
	r.metrics.nextAttempt.Set(seconds(r.now().Add(max(0, time.Until(earliest)))))
}

// refresh makes one attempt, publishes the result, and returns why it failed, nil if it
// did not.
func (r *Refresher) refresh(ctx context.Context) *reason {
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	fresh, err := r.provider.Retrieve(attempt)
	old := r.state.Load()
	if ctx.Err() != nil {
		if err != nil && old.unasked { // otherwise nothing would say what the process waited for
			r.state.Store(&snapshot{reason: reasonFor(err, r.codes)})
		}
		return nil
	}
	if err == nil {
		fresh, err = r.accept(fresh, old.credentials)
	}
	if err != nil {
		why := reasonFor(err, r.codes)
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

// warnExpired logs that credentials have expired although no attempt failed, which no
// other log line would show.
func (r *Refresher) warnExpired() {
	s := r.state.Load()
	if s.reason == nil && s.remaining(r.now()) == 0 {
		r.log.Warn("credentials have expired", "expiration", s.credentials.Expires.UTC(),
			"hint", "they should have been refreshed before: the clock of this node jumped, the node was suspended, or "+r.grantor+" grants only a few seconds")
	}
}

// warnShort warns of a short lifetime if that is news, and reports whether it is short.
func (r *Refresher) warnShort(lifetime time.Duration, known bool) bool {
	short := lifetime < shortLifetime
	if short && !known {
		r.log.Warn("credentials are short-lived", "lifetime", lifetime.Round(time.Second).String(), "at_most", r.lifetime.String(),
			"hint", "less than 15 minutes can be left when they are refreshed, and then some SDKs ask at every call: check the clock, and with web identity use a --duration of 45m or more")
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
