package credentials

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// P3: an answer of the year 9999 is served for no longer than it can be true, and then
// replaced; meanwhile the expiration does not move backwards.
func TestAnImpossibleExpirationIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := start(t, func(_ context.Context, call int) (aws.Credentials, error) {
			c := granted(time.Hour)
			if call == 0 {
				c.Expires = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
			}
			return c, nil
		})
		first := l.wantServed(t)
		if want := began.Add(2 * time.Hour); !first.Expires.Equal(want) {
			t.Errorf("served until %s, want %s", first.Expires, want)
		}
		for last := first; time.Since(began) < 6*time.Hour; sleep(time.Minute) {
			c := l.wantServed(t)
			if c.Expires.Before(last.Expires) {
				t.Fatalf("after %v the expiration went from %s to %s", time.Since(began), last.Expires, c.Expires)
			}
			if time.Since(began) > 90*time.Minute && c.AccessKeyID == first.AccessKeyID {
				t.Fatalf("after %v nothing has replaced them", time.Since(began))
			}
			last = c
		}
		if !strings.Contains(l.log.String(), `"msg":"expiration is not believed","expiration":"9999-12-31T23:59:59Z"`) {
			t.Errorf("the log does not say so:\n%s", &l.log)
		}
	})
}

// A grant that the tolerance for clocks explains is served as it is.
func TestAnExpirationWithinTheToleranceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := start(t, func(context.Context, int) (aws.Credentials, error) { return granted(2 * time.Hour), nil })
		if got := l.wantServed(t).Expires; !got.Equal(began.Add(2*time.Hour)) || strings.Contains(l.log.String(), "not believed") {
			t.Errorf("served until %s; log:\n%s", got, &l.log)
		}
	})
}

// Once the wall clock was set back by hours, what STS grants seems to last too long. It
// replaces the current credentials, with their expiration.
func TestAClockThatIsSetBackDoesNotKeepOldCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		first := l.wantServed(t)
		l.skew.Store(int64(-5 * time.Hour))
		sleep(40 * time.Minute)
		if c := l.wantServed(t); c.AccessKeyID == first.AccessKeyID || !c.Expires.Equal(first.Expires) {
			t.Errorf("serving %s until %s, want newer ones than %s until %s", c.AccessKeyID, c.Expires, first.AccessKeyID, first.Expires)
		}
	})
}
