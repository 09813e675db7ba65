package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"irsa-sidecar/test/harness"
)

// scrapeInterval is a thirtieth of the usual interval. The sidecars' schedule is just as
// short.
const scrapeInterval = "1s"

// startPrometheus runs Prometheus until the test ends. It scrapes pods, some of
// which may be unreachable, and evaluates the alerts.
func startPrometheus(t *testing.T, pods []*pod) prometheusv1.API {
	t.Helper()
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{ // JSON is YAML
		"global":         map[string]any{"scrape_interval": scrapeInterval, "evaluation_interval": scrapeInterval},
		"rule_files":     []string{writeRules(t, dir, directory+"/alerts.yaml")},
		"scrape_configs": []any{scrapeConfig(applied(t).monitor, pods)},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		t.Fatal(err)
	}
	address := freeAddresses(t, 1)[0]
	run(t, "Prometheus", exec.Command(find(t, "prometheus"),
		"--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn"))
	client, err := api.NewClient(api.Config{Address: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	return prometheusv1.NewAPI(client)
}

// scrapeConfig returns the scrape configuration that the operator generates from the
// monitor, except for the targets, which Prometheus would discover. See
// generatePodMonitorConfig in
// https://github.com/prometheus-operator/prometheus-operator/blob/main/pkg/prometheus/promcfg.go
func scrapeConfig(m monitoringv1.PodMonitor, pods []*pod) map[string]any {
	endpoint := m.Spec.PodMetricsEndpoints[0]
	var targets, relabelings []any
	for _, p := range pods {
		targets = append(targets, map[string]any{
			"targets": []string{p.admin},
			"labels": map[string]string{
				"namespace": p.namespace,
				"pod":       p.name,
				"container": "irsa-sidecar",
				"endpoint":  *endpoint.Port,
				"job":       m.Namespace + "/" + m.Name,
			},
		})
	}
	for _, c := range endpoint.MetricRelabelConfigs {
		relabelings = append(relabelings, map[string]any{"action": c.Action, "source_labels": c.SourceLabels, "regex": c.Regex})
	}
	return map[string]any{
		"job_name":               fmt.Sprintf("podMonitor/%s/%s/0", m.Namespace, m.Name),
		"static_configs":         targets,
		"metric_relabel_configs": relabelings,
	}
}

// until calls check every quarter of a second until it returns nil, and fails the test
// after limit.
func until(ctx context.Context, t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	err := harness.Await(ctx, 250*time.Millisecond, limit, func(context.Context) error { return check() })
	if err != nil {
		t.Fatal(err)
	}
}
