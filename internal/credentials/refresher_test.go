package credentials

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

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

func TestAnErrorWithoutACodeIsOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(context.Context, int) (aws.Credentials, error) { return aws.Credentials{}, errors.New("what?") })
		l.wantCode(t, codeOther)
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
		{"white space as the access key id", without(func(c *aws.Credentials) { c.AccessKeyID = " " })},
		{"white space as the secret access key", without(func(c *aws.Credentials) { c.SecretAccessKey = "\n\t\n" })},
		{"white space as the session token", without(func(c *aws.Credentials) { c.SessionToken = "\u00a0" })},
		{"a line break in the session token", without(func(c *aws.Credentials) { c.SessionToken = "a\nb" })},
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

// P7: what the end of the process cancels is no reason: the one before it is reported.
func TestACancelledAttemptIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		refusing := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			if calls++; calls == 1 {
				return denied()
			}
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		var log bytes.Buffer
		r := NewRefresher(refusing, "STS", time.Hour, stsCodes(), slog.New(slog.NewJSONHandler(&log, nil)), prometheus.NewRegistry())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil || calls != 2 {
			t.Fatalf("got %v after %d calls, want 2", err, calls)
		}
		if _, err := r.Current(); err == nil || err.(coded).ErrorCode() != "AccessDenied" {
			t.Errorf("the reason is %v, want AccessDenied", err)
		}
		if n := testutil.ToFloat64(r.metrics.failing.WithLabelValues("AccessDenied")); n != 1 {
			t.Errorf("refresh_failing{AccessDenied} is %v", n)
		}
		if n := strings.Count(log.String(), "refresh failed"); n != 1 {
			t.Errorf("%d failures in the log, want 1:\n%s", n, &log)
		}
	})
}

// P7: without one before it, it says what the process has waited for, and is no failure.
func TestACancelledFirstAttemptIsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, newReason(codeTimeout, "was still connecting to STS")
		})
		r := NewRefresher(hanging, "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Current(); err == nil || err.Error() != "timeout: was still connecting to STS" {
			t.Errorf("the reason is %v", err)
		}
		if n := testutil.ToFloat64(r.metrics.failing.WithLabelValues(codeTimeout)); n != 0 {
			t.Errorf("refresh_failing{timeout} is %v", n)
		}
	})
}

// P8: a call that hangs does not delay the shutdown.
func TestStopsWhileSTSHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		})
		r := NewRefresher(hanging, "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Run(ctx); err != nil || time.Since(began) != time.Second {
			t.Errorf("canceled after a second, Run returned after %v with %v", time.Since(began), err)
		}
	})
}
