package monitoring

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"irsa-sidecar/test/standin"
)

// TestQueries lets a real Prometheus scrape real sidecars, healthy and failing ones, and
// then checks every query of the alerts and the dashboard.
func TestQueries(t *testing.T) {
	// Shorter than go test's own timeout, which would leave processes behind.
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	start := time.Now()
	w := newWorld(ctx, t)
	prom := startPrometheus(t, w.all())

	t.Log("waiting for credentials to expire while STS fails")
	until(ctx, t, time.Minute, func() error {
		return wantAlert(ctx, prom, "IRSASidecarCredentialsExpiring firing outage", "refreshes fail with")
	})
	w.renewing.publish(t, time.Hour)
	t.Log("waiting for two minutes without credentials")
	until(ctx, t, 4*time.Minute, func() error { return wantAlerts(ctx, prom) })

	end := time.Now()
	// The last step must fall on end, because the last alert has just started to fire.
	history := prometheusv1.Range{Start: end.Add(-end.Sub(start).Truncate(time.Second)), End: end, Step: time.Second}
	t.Logf("querying the last %s", end.Sub(start).Round(time.Second))
	for _, q := range queries(t) {
		t.Run(q.key, func(t *testing.T) { checkQuery(ctx, t, prom, q, history) })
	}
	t.Run("expectations", checkExpectations)
	t.Run("variables", func(t *testing.T) { checkVariables(ctx, t, prom, w.scraped()) })
	t.Run("metrics", func(t *testing.T) { checkMetrics(ctx, t, prom, start, end) })
}

// world contains the sidecars that Prometheus scrapes.
type world struct {
	good     *pod // healthy
	renewing *pod // healthy; renews within seconds what usually takes hours
	denied   *pod // STS denies access from the start
	outage   *pod // STS fails after the first credentials, in two ways
	stale    *pod // the token expires and is not replaced
	refusing *pod // gets bad requests
	gone     *pod // cannot be scraped
}

func (w *world) scraped() []*pod {
	// outage comes last: its credentials are valid for seconds only, and Prometheus must
	// see them.
	return []*pod{w.good, w.renewing, w.denied, w.stale, w.refusing, w.outage}
}

func (w *world) all() []*pod { return append(w.scraped(), w.gone) }

// newWorld starts the sidecars, and clients that keep making requests.
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
	w.good.policy = filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(w.good.policy, []byte(`{"Statement":[]}`), 0o644); err != nil {
		t.Fatal(err)
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
		p.start(t, binary)
		// The request waits for the first credentials, so that they exist before the
		// first scrape.
		until(ctx, t, 30*time.Second, func() error {
			if p.ask(ctx, nil) == 0 {
				return fmt.Errorf("the sidecar in %s does not answer", p.name)
			}
			return nil
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.keepAsking(ctx)
	}()
	t.Cleanup(func() { <-done })
	return w
}

// keepAsking makes good and bad requests for credentials every second until ctx is done.
func (w *world) keepAsking(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, p := range w.scraped() {
			p.ask(ctx, nil)
		}
		for _, edit := range badRequests() {
			w.refusing.ask(ctx, edit)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// alerts returns the alerts of Prometheus, by "NAME STATE POD" and the reason if there is
// one.
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

// wantAlert returns an error unless Prometheus has the alert name with description in its
// description.
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

// wantAlerts returns an error unless Prometheus has exactly the alerts expected at the end:
// those without a "for" duration are firing, the others are pending.
func wantAlerts(ctx context.Context, prom prometheusv1.API) error {
	want := []string{
		"IRSASidecarNoCredentials firing denied",
		"IRSASidecarNoCredentials firing outage",
		"IRSASidecarRefreshFailing pending denied",
		"IRSASidecarRefreshFailing pending outage",
		"IRSASidecarTokenStale pending stale",
	}
	for reason := range badRequests() {
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
