package monitoring

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

var metricName = regexp.MustCompile(`\birsa_sidecar_[a-z_]+\b`)

// checkMetrics checks that sidecars expose every irsa_sidecar_ metric named in the
// alerts, the dashboard and the runbook, and that some query uses each metric.
func checkMetrics(ctx context.Context, t *testing.T, prom prometheusv1.API, start, end time.Time) {
	values, _, _, err := prom.LabelValues(ctx, "__name__", []string{`{endpoint="irsa-metrics"}`}, start, end)
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string]bool{}
	for _, v := range values {
		if strings.HasPrefix(string(v), "irsa_sidecar_") {
			exposed[string(v)] = true
		}
	}
	used := map[string]bool{}
	for _, q := range queries(t) {
		for _, name := range metricName.FindAllString(q.expr, -1) {
			used[family(name)] = true
		}
	}
	files, err := filepath.Glob(directory + "/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", directory, err)
	}
	for _, file := range append(files, runbook) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !exposed[name] && !exposed[name+"_bucket"] {
				t.Errorf("%s names %s, which no sidecar exposes", filepath.Base(file), name)
			}
		}
	}
	families := map[string]bool{}
	for name := range exposed {
		families[family(name)] = true
	}
	wantSame(t, "metrics in queries", families, used)
	t.Logf("%d metrics, each used in a query", len(families))
}

// family returns the name of the metric that a series belongs to.
func family(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}
