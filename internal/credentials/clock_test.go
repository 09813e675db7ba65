package credentials

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestWallClockJumps(t *testing.T) {
	tests := []struct {
		name   string
		jump   time.Duration
		within time.Duration // after the jump, a second call is due
	}{
		{name: "forward, as after a suspension", jump: 50 * time.Minute, within: 30 * time.Second},
		{name: "forward past expiry", jump: 24 * time.Hour, within: 30 * time.Second},
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
