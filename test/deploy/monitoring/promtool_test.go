package monitoring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alertFiles are the alerts, by the file that tests them.
var alertFiles = map[string]string{
	"alerts_test.yaml":          directory + "/alerts.yaml",
	"injector_alerts_test.yaml": root + "/deploy/injector/monitoring/alerts.yaml",
}

// writeRules writes the alerts of a file to a Prometheus rule file and returns its path.
func writeRules(t *testing.T, dir, file string) string {
	t.Helper()
	// From the file itself, as without the operator.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	rules, err := yaml.Marshal(manifest.Spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(path, rules, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), find(t, "promtool"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	t.Logf("%s", out)
}

// find returns the path of a program in Debian's package prometheus.
func find(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: install it with test/deploy/monitoring/run", err)
	}
	return path
}

func TestRules(t *testing.T) {
	for _, file := range alertFiles {
		promtool(t, "check", "rules", "--lint=all", "--lint-fatal", writeRules(t, t.TempDir(), file))
	}
}

// The job for a Prometheus without the operator is valid, and says what the PodMonitor says.
// Debian's package is built without the discovery of pods.
func TestScrapeConfig(t *testing.T) {
	text, err := os.ReadFile(directory + "/scrape.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const discovery = "kubernetes_sd_configs: [{role: pod}]"
	if !strings.Contains(string(text), discovery) {
		t.Fatalf("scrape.yaml has no %s", discovery)
	}
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), discovery, "static_configs: []", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "config", "--lint=all", "--lint-fatal", path)
	endpoint := applied(t).monitor.Spec.PodMetricsEndpoints[0]
	if !strings.Contains(string(text), "regex: "+*endpoint.Port+"}") {
		t.Errorf("scrape.yaml does not select the port %s", *endpoint.Port)
	}
	for _, c := range endpoint.MetricRelabelConfigs {
		if !strings.Contains(string(text), fmt.Sprintf("{action: %s, source_labels: [__name__], regex: %s}", c.Action, c.Regex)) {
			t.Errorf("scrape.yaml does not %s %s", c.Action, c.Regex)
		}
	}
}

// TestAlerts runs alerts_test.yaml and injector_alerts_test.yaml.
func TestAlerts(t *testing.T) {
	for name, file := range alertFiles {
		dir := t.TempDir()
		rules := writeRules(t, dir, file)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests := filepath.Join(dir, name)
		if err := os.WriteFile(tests, text, 0o644); err != nil {
			t.Fatal(err)
		}
		promtool(t, "test", "rules", tests)
		t.Run("every alert is tested in "+name, func(t *testing.T) { everyAlertFires(t, text, rules) })
	}
}

// everyAlertFires checks that each alert has a test in which it fires, and one in which
// it does not.
func everyAlertFires(t *testing.T, text []byte, rules string) {
	var groups struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	written, err := os.ReadFile(rules)
	if err := errors.Join(err, yaml.Unmarshal(written, &groups)); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			if len(a.Want) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s: want a time at which it fires, and one at which it does not", rule.Alert)
			}
		}
	}
	if len(groups.Groups) == 0 {
		t.Error("no alerts")
	}
}
