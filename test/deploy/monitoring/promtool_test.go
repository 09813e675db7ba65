package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// writeRules writes the alerts to a Prometheus rule file and returns its path.
func writeRules(t *testing.T, dir string) string {
	t.Helper()
	// From the file itself, as without the operator.
	text, err := os.ReadFile(directory + "/alerts.yaml")
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
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", writeRules(t, t.TempDir()))
}

// TestAlerts runs alerts_test.yaml.
func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir)
	text, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := filepath.Join(dir, "alerts_test.yaml")
	if err := os.WriteFile(tests, text, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", tests)
	t.Run("every alert is tested", func(t *testing.T) { everyAlertFires(t, text) })
}

// everyAlertFires checks that each alert has a test in which it fires, and one in which
// it does not.
func everyAlertFires(t *testing.T, text []byte) {
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
	for _, rule := range applied(t).rules() {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: want a time at which it fires, and one at which it does not", rule.Alert)
		}
	}
}
