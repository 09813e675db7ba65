package credentials

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

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

// movingError is the error of a provider that asks two STSs in turn.
type movingError struct{ *reason }

func (movingError) Elsewhere() bool { return true }

// With two STSs that are asked in turn either is asked within 70 seconds, even if the other
// one, and itself until it works, takes the full time.
func TestEitherRegionIsAskedWithin70Seconds(t *testing.T) {
	for phase := range 20 {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			outage := 2*time.Hour + time.Duration(phase)*7*time.Second
			l := startWith(t, func() float64 { return almostOne }, func(ctx context.Context, call int) (aws.Credentials, error) {
				if call > 0 && call%2 == 0 && time.Since(began) >= outage || call == 0 {
					return granted(time.Hour), nil
				}
				<-ctx.Done()
				return aws.Credentials{}, movingError{newReason(codeTimeout, "timed out")}
			})
			sleep(outage - time.Nanosecond)
			l.wantCode(t, codeTimeout)
			sleep(70 * time.Second)
			l.wantServed(t)
			calls := l.calls()
			for i := len(calls) - 5; i < len(calls)-2; i++ {
				if wait := calls[i+2].Sub(calls[i]) - 2*attemptTimeout; wait < 30*time.Second {
					t.Errorf("an STS was asked again %v after it failed", wait)
				}
			}
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

// A throttled refresh gives way to those that have less time, and a new token ends that wait.
func TestAThrottledRefreshGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := func() float64 { return 0.81 } // its root is 0.9
		l := startWith(t, random, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 0 {
				return granted(time.Hour), nil
			}
			return aws.Credentials{}, newReason(codeThrottled, "Rate exceeded")
		})
		sleep(39 * time.Minute)
		l.wantCalls(t, 2)
		second := l.calls()[1]
		remaining := l.calls()[0].Add(time.Hour).Sub(second)
		given := time.Duration(0.9 * float64(remaining-lastTries))
		sleep(time.Until(second.Add(given - time.Second)))
		l.wantCalls(t, 2)
		sleep(2 * time.Second)
		l.wantCalls(t, 3)
		l.Wake()
		sleep(minSpacing)
		l.wantCalls(t, 4)
		sleep(time.Until(l.calls()[0].Add(time.Hour)))
		if n := len(l.calls()); n < 15 || n > 25 {
			t.Errorf("%d calls within the hour, want some 20", n)
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
		why := l.ends[i+1] // why this call failed, nil: it did not
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
