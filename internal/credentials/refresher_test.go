package credentials

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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
	l := &loop{answer: answer}
	l.Refresher = NewRefresher(aws.CredentialsProviderFunc(l.provide), time.Hour, stsCodes(),
		slog.New(slog.NewJSONHandler(&l.log, nil)), prometheus.NewRegistry())
	l.now = func() time.Time { return time.Now().Add(time.Duration(l.skew.Load())).Round(0) }
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

func TestRefreshesAt50To65PercentOfTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		for range 10 * 24 * 60 {
			l.wantServed(t)
			sleep(time.Minute)
		}
		calls := l.calls()
		for i, call := range calls[1:] {
			if wait := call.Sub(calls[i]); wait < 30*time.Minute || wait > 39*time.Minute {
				t.Errorf("refresh %d came %v after the previous one", i+1, wait)
			}
		}
		if n := testutil.ToFloat64(l.metrics.refreshes.WithLabelValues("success")); n != float64(len(l.calls())) {
			t.Errorf("refreshes_total{success} is %v after %d calls", n, len(l.calls()))
		}
	})
}

func TestRetrieveWaitsForTheFirstCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			time.Sleep(300 * time.Millisecond)
			return granted(time.Hour), nil
		})
		l.wantCode(t, codeOther) // nothing is known yet
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := l.Retrieve(ctx); err != nil || time.Since(began) != 300*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestServesUntilTheLastSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 0 {
				return granted(time.Hour), nil
			}
			return denied()
		})
		first := l.wantServed(t)
		for time.Until(first.Expires) > time.Second {
			sleep(time.Second)
			if c := l.wantServed(t); c != first {
				t.Fatalf("%v replaced %v", c, first)
			}
		}
		sleep(time.Second)
		l.wantCode(t, "AccessDenied")

		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Retrieve(ctx); err == nil || time.Since(began) != 0 {
			t.Errorf("after expiry Retrieve waited for %v and returned %v", time.Since(began), err)
		}
	})
}

func TestRecoversWithin70Seconds(t *testing.T) {
	for _, outage := range []time.Duration{time.Minute, time.Hour, 30 * time.Hour} {
		t.Run(outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
					if time.Since(began) < outage {
						<-ctx.Done() // the worst case: every attempt takes its full time
						return aws.Credentials{}, ctx.Err()
					}
					return granted(time.Hour), nil
				})
				sleep(outage - time.Nanosecond)
				l.wantCode(t, codeTimeout)
				sleep(70 * time.Second)
				l.wantServed(t)
			})
		})
	}
}

func TestBackoffGrowsAndResetsOnSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 10 {
				return granted(time.Hour), nil
			}
			return denied()
		})
		sleep(10*time.Minute + 45*time.Minute)
		if len(l.calls()) < 13 {
			t.Fatalf("only %d calls", len(l.calls()))
		}
		steps := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60}
		for i, step := range steps {
			wait := l.calls()[i+1].Sub(l.calls()[i])
			if wait < step*time.Second/2 || wait > step*time.Second {
				t.Errorf("wait %d was %v, want the upper half of %v", i, wait, step*time.Second)
			}
		}
		// At most half an hour is left.
		if wait := l.calls()[12].Sub(l.calls()[11]); wait > 30*time.Minute/32 {
			t.Errorf("after a success the first wait was %v", wait)
		}
	})
}

func TestWakeBringsTheNextAttemptForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := false
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if good {
				return granted(time.Hour), nil
			}
			return denied()
		})
		sleep(5 * time.Minute)
		good = true
		last := l.calls()[len(l.calls())-1]
		l.Wake()
		sleep(max(0, time.Until(last.Add(minSpacing))))
		l.wantServed(t)
		if wait := l.calls()[len(l.calls())-1].Sub(last); wait < minSpacing {
			t.Errorf("called %v after the last call", wait)
		}
	})
}

// The five seconds count from the end of a call. Otherwise a call that hangs would be
// followed by the next one at once.
func TestWakeAfterACallThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		sleep(5 * time.Minute) // the back-off has grown by then
		for n := len(l.calls()); len(l.calls()) < n+4; {
			l.Wake()
			sleep(100 * time.Millisecond)
		}
		calls := l.calls()
		for i := len(calls) - 3; i < len(calls); i++ {
			if wait := calls[i].Sub(calls[i-1]); wait < attemptTimeout+minSpacing {
				t.Errorf("call %d came %v after the end of the previous one", i, wait-attemptTimeout)
			}
		}
	})
}

func TestWakeEndsTheWaitForTheFirstTokenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exists := false
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if exists {
				return granted(time.Hour), nil
			}
			return aws.Credentials{}, newReason(codeToken, "does not exist")
		})
		sleep(5 * time.Minute)
		for n := len(l.calls()); len(l.calls()) == n; {
			sleep(100 * time.Millisecond)
		}
		l.wantCode(t, codeToken)
		exists = true
		l.Wake()
		synctest.Wait()
		l.wantServed(t)
	})
}

func TestWakeIsIgnoredAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		for range 29 * 60 {
			l.Wake()
			sleep(time.Second)
		}
		l.wantCalls(t, 1)
	})
}

func TestFlappingFileOrClockCausesNoStorm(t *testing.T) {
	flaps := map[string]func(l *loop, i int){
		"file":  func(l *loop, i int) { l.Wake() },
		"clock": func(l *loop, i int) { l.skew.Store(int64(time.Duration(i%2) * 3 * time.Hour)) },
		"both": func(l *loop, i int) {
			l.skew.Store(int64(time.Duration(i%2) * 3 * time.Hour))
			l.Wake()
		},
	}
	answers := map[string]func(ctx context.Context, call int) (aws.Credentials, error){
		"STS fails": func(context.Context, int) (aws.Credentials, error) { return denied() },
		"STS works": nil,
		"token comes and goes": func(_ context.Context, call int) (aws.Credentials, error) {
			if call%2 == 0 {
				return aws.Credentials{}, newReason(codeToken, "is empty")
			}
			return denied()
		},
	}
	for name, flap := range flaps {
		for what, answer := range answers {
			t.Run(name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := start(t, answer)
					for i := range 10 * 60 * 10 {
						flap(l, i)
						sleep(100 * time.Millisecond)
					}
					l.wantSpacing(t)
				})
			})
		}
	}
}

// wantSpacing checks the time between calls that reached STS. It is at least five
// seconds, or the shortest wait after the nth failure in a row if that is less: half a
// second, doubled with each failure.
func (l *loop) wantSpacing(t *testing.T) {
	t.Helper()
	var last time.Time         // of the calls that reached STS
	var shortest time.Duration // wait after last
	failures := 0
	for i, call := range l.times[:len(l.times)-1] {
		why := l.ends[i+1] // this call failed
		failures++
		if why == nil {
			failures = 0
		}
		if why != nil && why.code == codeToken {
			continue
		}
		if wait := call.Sub(last); wait < shortest {
			t.Fatalf("call %d came %v after the previous one, want at least %v", i, wait, shortest)
		}
		last, shortest = call, minSpacing
		if failures > 0 && failures < 5 {
			shortest = firstBackoff / 2 << (failures - 1)
		}
	}
}

func TestWallClockJumps(t *testing.T) {
	tests := []struct {
		name   string
		jump   time.Duration
		within time.Duration // after the jump, a second call is due
	}{
		{name: "forward, as after a suspension", jump: 50 * time.Minute, within: recheckPeriod},
		{name: "forward past expiry", jump: 24 * time.Hour, within: recheckPeriod},
		{name: "back", jump: -24 * time.Hour, within: 39 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, nil)
				sleep(time.Minute)
				l.skew.Store(int64(tt.jump))
				sleep(tt.within)
				if len(l.calls()) < 2 {
					t.Errorf("no call within %v", tt.within)
				}
			})
		})
	}
}

func TestExpiryFollowsTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		l.skew.Store(int64(2 * time.Hour))
		l.wantCode(t, codeOther)
		if _, err := l.Current(); err == nil || !strings.Contains(err.Error(), "are being refreshed") {
			t.Errorf("got %v", err)
		}
	})
}

// The request makes the loop check the clock at once, not only at the next regular check.
func TestRequestForExpiredCredentialsTriggersARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(_ context.Context, call int) (aws.Credentials, error) {
			return granted(time.Duration(1+23*call) * time.Hour), nil
		})
		sleep(minSpacing)
		l.skew.Store(int64(4 * time.Hour))
		l.wantCode(t, codeOther)
		synctest.Wait()
		l.wantCalls(t, 2)
		for range 100 {
			l.wantServed(t)
			synctest.Wait()
		}
		l.wantCalls(t, 2)
	})
}

// If no attempt failed, only this log line explains why there are no credentials.
func TestExpiryWithoutAFailureIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		l.skew.Store(int64(2 * time.Hour))
		sleep(recheckPeriod)
		if !strings.Contains(l.log.String(), `"level":"WARN","msg":"credentials have expired","expiration":"2000-01-01T01:00:00Z"`) {
			t.Errorf("log: %s", l.log.String())
		}
	})
}

func TestAnErrorWithoutACodeIsOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(context.Context, int) (aws.Credentials, error) { return aws.Credentials{}, errors.New("what?") })
		l.wantCode(t, codeOther)
	})
}

func TestASlowClockDoesNotDelayTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		l.skew.Store(int64(-5 * time.Hour)) // from now on, credentials seem to last six hours
		sleep(2 * time.Hour)
		for i := 1; i < len(l.calls()); i++ {
			if wait := l.calls()[i].Sub(l.calls()[i-1]); wait > 39*time.Minute {
				t.Errorf("refresh %d came after %v", i, wait)
			}
		}
	})
}

func TestASlowClockDoesNotDelayTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 0 {
				return granted(time.Hour), nil
			}
			return denied()
		})
		l.skew.Store(int64(-24 * time.Hour)) // from now on, an hour seems to last a day
		sleep(6 * time.Hour)
		for i := 2; i < len(l.calls()); i++ {
			if wait := l.calls()[i].Sub(l.calls()[i-1]); wait > time.Hour/8 {
				t.Errorf("attempt %d came %v after the previous one", i, wait)
			}
		}
	})
}

func TestNeverReplacesCredentialsWithWorseOnes(t *testing.T) {
	expired := func() aws.Credentials { return granted(-time.Second) }
	without := func(change func(*aws.Credentials)) func() aws.Credentials {
		return func() aws.Credentials {
			c := granted(time.Hour)
			change(&c)
			return c
		}
	}
	tests := []struct {
		name  string
		fresh func() aws.Credentials
	}{
		{"no access key id", without(func(c *aws.Credentials) { c.AccessKeyID = "" })},
		{"no secret access key", without(func(c *aws.Credentials) { c.SecretAccessKey = "" })},
		{"no session token", without(func(c *aws.Credentials) { c.SessionToken = "" })},
		{"no expiry", without(func(c *aws.Credentials) { c.CanExpire = false })},
		{"expired", expired},
		{"expires earlier", func() aws.Credentials { return granted(20 * time.Minute) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
					if call == 0 {
						return granted(time.Hour), nil
					}
					return tt.fresh(), nil
				})
				first := l.wantServed(t)
				sleep(39 * time.Minute)
				if len(l.calls()) < 2 || l.wantServed(t) != first {
					t.Errorf("%d calls, serving %v", len(l.calls()), l.wantServed(t))
				}
				if n := testutil.ToFloat64(l.metrics.failing.WithLabelValues(codeInvalidResponse)); n != 1 {
					t.Errorf("refresh_failing{invalid_response} is %v", n)
				}
			})
			if tt.name == "expires earlier" {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				l := start(t, func(context.Context, int) (aws.Credentials, error) { return tt.fresh(), nil })
				sleep(time.Minute)
				l.wantCode(t, codeInvalidResponse)
			})
		})
	}
}

func TestAttemptTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		sleep(attemptTimeout - time.Nanosecond)
		l.wantCode(t, codeOther)
		sleep(time.Nanosecond)
		l.wantCode(t, codeTimeout)
	})
}

// P8: a call that hangs does not delay the shutdown.
func TestStopsWhileSTSHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		r := NewRefresher(hanging, time.Hour, stsCodes(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Run(ctx); err != nil || time.Since(began) != time.Second {
			t.Errorf("canceled after a second, Run returned after %v with %v", time.Since(began), err)
		}
	})
}

func TestMetricsFollowSuccessAndFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			switch call {
			case 1:
				return denied()
			case 2:
				return aws.Credentials{}, newReason("network", "no route")
			}
			return granted(time.Hour), nil
		})
		value := func(c prometheus.Collector) float64 { return testutil.ToFloat64(c) }
		now := seconds(time.Now())
		if value(l.metrics.expiration) != now+3600 || value(l.metrics.lastSuccess) != now {
			t.Errorf("after the first success: expiration %v, last success %v", value(l.metrics.expiration), value(l.metrics.lastSuccess))
		}
		if next := value(l.metrics.nextAttempt); next < now+30*60 || next > now+39*60 {
			t.Errorf("next attempt in %v s", next-now)
		}
		if testutil.CollectAndCount(l.metrics.failing) != 0 {
			t.Error("refresh_failing has a series while nothing fails")
		}
		time.Sleep(time.Until(time.UnixMilli(int64(value(l.metrics.nextAttempt)*1000) + 2)))
		synctest.Wait()
		if value(l.metrics.failing.WithLabelValues("AccessDenied")) != 1 || testutil.CollectAndCount(l.metrics.failing) != 1 {
			t.Error("refresh_failing is not AccessDenied alone")
		}
		sleep(time.Minute)
		if value(l.metrics.failing.WithLabelValues("network")) != 1 || testutil.CollectAndCount(l.metrics.failing) != 1 {
			t.Error("refresh_failing is not network alone")
		}
		sleep(2 * time.Minute)
		if testutil.CollectAndCount(l.metrics.failing) != 0 {
			t.Error("refresh_failing has a series after a success")
		}
		for result, want := range map[string]float64{"success": 2, "AccessDenied": 1, "network": 1, codeOther: 0} {
			if got := value(l.metrics.refreshes.WithLabelValues(result)); got != want {
				t.Errorf("refreshes_total{%s} is %v, want %v", result, got, want)
			}
		}
	})
}

func TestMetricsAreWellFormed(t *testing.T) {
	reg := prometheus.NewRegistry()
	NewRefresher(nil, time.Hour, stsCodes(), slog.New(slog.DiscardHandler), reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func TestLogHasEventsAndNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 0 {
				return granted(time.Hour), nil
			}
			return denied()
		})
		sleep(2 * time.Hour)
		log := l.log.String()
		for _, want := range []string{
			`"level":"INFO","msg":"asking STS for the first credentials"`,
			`"level":"INFO","msg":"credentials refreshed"`,
			`"level":"WARN","msg":"refresh failed","code":"AccessDenied","error":"Not authorized"`,
			`"level":"ERROR","msg":"refresh failed"`, // once the credentials have expired
		} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s", want)
			}
		}
		for _, secret := range []string{`"secret"`, `"session"`, "ASIA"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log contains %s", secret)
			}
		}
	})
}

func TestShortLivedCredentialsAreWarnedAboutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) { return granted(44 * time.Minute), nil })
		sleep(3 * time.Hour)
		if n := strings.Count(l.log.String(), "credentials are short-lived"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, &l.log)
		}
	})
}
