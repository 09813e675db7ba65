package credentials

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

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
	NewRefresher(nil, "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}
