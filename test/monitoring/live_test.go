package monitoring

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"irsa-sidecar/test/standin"
)

// TestQueries has a real Prometheus scrape real sidecars through good and bad
// minutes, and then looks at everything that is asked of it.
func TestQueries(t *testing.T) {
	// Ends everything before go test's own time limit, which would leave processes.
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	start := time.Now()
	w := newWorld(ctx, t)
	prom := startPrometheus(ctx, t, w.all())

	t.Log("waiting for credentials to end while STS fails")
	until(ctx, t, time.Minute, func() error {
		return wantAlert(ctx, prom, "IRSASidecarCredentialsExpiring firing outage", "getting new ones fails with")
	})
	w.renewing.publish(t, time.Hour)
	t.Log("waiting for two minutes without credentials")
	until(ctx, t, 4*time.Minute, func() error { return wantAlerts(ctx, prom) })

	end := time.Now()
	// In steps that lead to the end, where the last alert has just begun to fire.
	history := prometheusv1.Range{Start: end.Add(-end.Sub(start).Truncate(time.Second)), End: end, Step: time.Second}
	t.Logf("asking about the %s that Prometheus has seen", end.Sub(start).Round(time.Second))
	for _, q := range queries(t) {
		t.Run(q.key, func(t *testing.T) { checkQuery(ctx, t, prom, q, history) })
	}
	t.Run("expectations", everyExpectationIsOfAQuery)
	t.Run("variables", func(t *testing.T) { checkVariables(ctx, t, prom, w.scraped()) })
	t.Run("metrics", func(t *testing.T) { checkMetrics(ctx, t, prom, start, end) })
}

// world is the sidecars that Prometheus scrapes.
type world struct {
	good     *pod // all is well
	renewing *pod // all is well, in seconds what else takes hours
	denied   *pod // STS refuses from the start
	outage   *pod // STS fails after the first credentials, in two ways
	stale    *pod // the token expires and is not replaced
	refusing *pod // is asked wrongly
	gone     *pod // cannot be scraped
}

func (w *world) scraped() []*pod {
	// The outage last: it has only seconds, and Prometheus is to see them.
	return []*pod{w.good, w.renewing, w.denied, w.stale, w.refusing, w.outage}
}

func (w *world) all() []*pod { return append(w.scraped(), w.gone) }

// newWorld starts the sidecars and what asks them.
func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	binary := buildSidecar(t)
	w := &world{
		good:     newPod(t, "shop", "good"),
		renewing: newPod(t, "shop", "renewing"),
		denied:   newPod(t, "shop", "denied"),
		outage:   newPod(t, "shop", "outage"),
		stale:    newPod(t, "till", "stale"),
		refusing: newPod(t, "till", "refusing"),
		gone:     newPod(t, "till", "gone"),
	}
	w.renewing.sts.SetGrantLifetime(12 * time.Second)
	w.denied.sts.AddRole(standin.Role{ARN: role, ServiceAccount: "another"})
	w.outage.sts.SetGrantLifetime(20 * time.Second)
	unavailable := standin.Refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "try later")
	w.outage.sts.Next(nil, unavailable, unavailable, unavailable)
	w.outage.sts.Always(standin.Reset())
	for _, p := range w.scraped() {
		lifetime := time.Hour
		if p == w.stale {
			lifetime = 20 * time.Second
		}
		p.publish(t, lifetime)
		p.start(ctx, t, binary)
		// It waits for the first credentials, so that these come before the first scrape.
		until(ctx, t, 30*time.Second, func() error {
			if p.ask(ctx, nil) == 0 {
				return fmt.Errorf("the sidecar of %s does not answer", p.name)
			}
			return nil
		})
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		w.askOn(ctx)
	}()
	t.Cleanup(func() { <-asked })
	return w
}

// askOn asks for credentials, rightly and wrongly, every second until ctx is done.
func (w *world) askOn(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, p := range w.scraped() {
			p.ask(ctx, nil)
		}
		for _, edit := range wrong() {
			w.refusing.ask(ctx, edit)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// alerts returns those of Prometheus as "NAME STATE POD", sorted.
func alerts(ctx context.Context, prom prometheusv1.API) (map[string]prometheusv1.Alert, error) {
	got, err := prom.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string]prometheusv1.Alert{}
	for _, a := range got.Alerts {
		name := fmt.Sprintf("%s %s %s", a.Labels["alertname"], a.State, a.Labels["pod"])
		if reason, ok := a.Labels["reason"]; ok {
			name += " " + string(reason)
		}
		if description := string(a.Annotations["description"]); strings.Contains(description, "<error") {
			return nil, fmt.Errorf("%s: %s", name, description)
		}
		named[name] = a
	}
	return named, nil
}

// wantAlert tells whether there is an alert with that in its description.
func wantAlert(ctx context.Context, prom prometheusv1.API, name, description string) error {
	got, err := alerts(ctx, prom)
	if err != nil {
		return err
	}
	if text := got[name].Annotations["description"]; !strings.Contains(string(text), description) {
		return fmt.Errorf("want the alert %s with %q in its description, got %q and %v", name, description, text, slices.Sorted(maps.Keys(got)))
	}
	return nil
}

// wantAlerts tells whether Prometheus has the alerts that it should have in the
// end: those without a time to wait fire, the others are pending.
func wantAlerts(ctx context.Context, prom prometheusv1.API) error {
	want := []string{
		"IRSASidecarNoCredentials firing denied",
		"IRSASidecarNoCredentials firing outage",
		"IRSASidecarRefreshFailing pending denied",
		"IRSASidecarRefreshFailing pending outage",
		"IRSASidecarTokenStale pending stale",
	}
	for reason := range wrong() {
		want = append(want, "IRSASidecarRefusing pending refusing "+reason)
	}
	slices.Sort(want)
	got, err := alerts(ctx, prom)
	if err != nil {
		return err
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		return fmt.Errorf("alerts: want %q, got %q", want, names)
	}
	return wantAlert(ctx, prom, "IRSASidecarNoCredentials firing denied", "failed with AccessDenied.")
}
