package credentials

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// An operator's refresh comes at once after a success and during a back-off, but not within
// five seconds of the last call, and once in a minute.
func TestRefreshNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := false
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if bad {
				return denied()
			}
			return granted(time.Hour), nil
		})
		before := l.wantServed(t)
		began := time.Now()
		if err := l.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if after := l.wantServed(t); after.AccessKeyID == before.AccessKeyID || time.Since(began) > minSpacing+time.Second || time.Since(began) < minSpacing {
			t.Errorf("after %v there is %s, before %s", time.Since(began), after.AccessKeyID, before.AccessKeyID)
		}
		for range 20 {
			if err := l.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "less than a minute ago") {
				t.Errorf("got %v", err)
			}
		}
		l.wantCalls(t, 2)
		sleep(time.Minute)
		bad = true
		if err := l.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "Not authorized") {
			t.Errorf("got %v", err)
		}
		l.wantCalls(t, 3)
		l.wantServed(t) // the old ones
	})
}

// It does not wait for ever, and what it caused goes on.
func TestRefreshThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 1 {
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			}
			return granted(time.Hour), nil
		})
		sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := l.Refresh(ctx); err == nil || !strings.Contains(err.Error(), "has not answered yet") {
			t.Errorf("got %v", err)
		}
		sleep(2 * time.Minute)
		if n := len(l.calls()); n < 3 {
			t.Errorf("%d calls", n)
		}
	})
}
