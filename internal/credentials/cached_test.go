package credentials

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// An agent that hands out what it has cached until a second before the end costs up to
// five seconds without credentials, and no more: calls stay five seconds apart. The same
// credentials again are a success.
func TestCachedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = time.Hour
		cached := granted(lifetime)
		l := start(t, func(context.Context, int) (aws.Credentials, error) {
			if time.Until(cached.Expires) < time.Second {
				cached = granted(lifetime)
			}
			return cached, nil
		})
		var without time.Duration // in a row
		for range 5 * 60 * 60 {
			sleep(time.Second)
			if _, err := l.Current(); err == nil {
				without = 0
			} else if without += time.Second; without > minSpacing {
				t.Fatalf("no credentials for %v: %v", without, err)
			}
		}
		calls := l.calls()
		for i := 1; i < len(calls); i++ {
			if wait := calls[i].Sub(calls[i-1]); wait < minSpacing {
				t.Errorf("call %d came %v after the previous one", i, wait)
			}
		}
		for i, why := range l.ends[1:] {
			if why != nil {
				t.Errorf("call %d failed: %v", i, why)
			}
		}
		if len(calls) < 20 || len(calls) > 5*20 {
			t.Errorf("%d calls in five hours", len(calls))
		}
	})
}
