//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// testPrometheus lets a real Prometheus scrape the replicas, with the alerts.
func testPrometheus(t *testing.T) {
	address, expressions := startPrometheus(t)
	until(t, time.Minute, func() error { return returns(address, `count(up{container="injector"} == 1) == 2`) })
	for _, expression := range append(expressions,
		`sum(irsa_sidecar_injector_requests_total{result="injected"}) > 0`,
		`min(irsa_sidecar_injector_certificate_expiration_timestamp_seconds) > time() + 300 * 86400`,
		`max(irsa_sidecar_injector_request_duration_seconds_count) > 0`,
		`min(irsa_sidecar_injector_service_accounts) > 1`,
		`absent(go_goroutines)`, // the PodMonitor drops it
		`absent(ALERTS)`,
	) {
		until(t, time.Minute, func() error { return returns(address, expression) })
	}
	refuseOne(t)
	until(t, time.Minute, func() error {
		return returns(address, `ALERTS{alertname="IRSASidecarInjectorRefusing", alertstate="firing"}`)
	})
	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=0")
	until(t, 2*time.Minute, func() error {
		return returns(address, `ALERTS{alertname="IRSASidecarInjectorDown", alertstate="pending"}`)
	})
	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=2")
	kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=60s")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
}

// startPrometheus starts Prometheus as its operator would with deploy/injector/monitoring, and
// returns its address, and for each alert a query that any value answers.
func startPrometheus(t *testing.T) (address string, expressions []string) {
	t.Helper()
	dir := t.TempDir()
	var rules struct {
		Spec struct {
			Groups []struct{ Rules []struct{ Expr string } }
		}
	}
	rulesFile := decode(t, "alerts.yaml", &rules)
	for _, r := range rules.Spec.Groups[0].Rules {
		expressions = append(expressions, "count("+r.Expr+") >= 0 or vector(1)")
	}
	var monitor struct {
		Spec struct {
			Selector            struct{ MatchLabels map[string]string }
			PodMetricsEndpoints []struct {
				Port              string
				MetricRelabelings []struct {
					Action       string   `json:"action"`
					SourceLabels []string `json:"sourceLabels"`
					Regex        string   `json:"regex"`
				}
			}
		}
	}
	decode(t, "podmonitor.yaml", &monitor)
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	if endpoint.Port != "metrics" || monitor.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != own {
		t.Fatalf("%+v", monitor)
	}
	drop := endpoint.MetricRelabelings[0]
	files := map[string]any{
		"rules.json":   rulesFile["spec"],
		"targets.json": []any{map[string]any{"targets": targets(t), "labels": map[string]string{"namespace": own, "container": "injector"}}},
		"prometheus.json": map[string]any{
			"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
			"rule_files": []string{"rules.json"},
			"scrape_configs": []any{map[string]any{
				"job_name":               "injector",
				"file_sd_configs":        []any{map[string]any{"files": []string{"targets.json"}, "refresh_interval": "1s"}},
				"metric_relabel_configs": []any{map[string]any{"action": drop.Action, "source_labels": drop.SourceLabels, "regex": drop.Regex}},
			}},
		},
	}
	for name, content := range files {
		b, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	ln.Close()
	command := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.json"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "warn")
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("%v: test/deploy/monitoring/run installs it", err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	return address, expressions
}

// decode reads a file of deploy/injector/monitoring.
func decode(t *testing.T, file string, into any) (whole map[string]any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../deploy/injector/monitoring", file))
	if err := errors.Join(err, yaml.Unmarshal(b, into), yaml.Unmarshal(b, &whole)); err != nil {
		t.Fatal(err)
	}
	return whole
}

func targets(t *testing.T) (all []string) {
	t.Helper()
	for ip := range strings.FieldsSeq(kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].status.podIP}")) {
		all = append(all, net.JoinHostPort(ip, "9440"))
	}
	return all
}

// returns returns an error if a query has no result.
func returns(address, expression string) error {
	response, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %v %s", expression, err, answer.Error)
	}
	if len(answer.Data.Result) == 0 {
		return fmt.Errorf("no result for %s", expression)
	}
	return nil
}

// refuseOne sends a replica what it refuses.
func refuseOne(t *testing.T) {
	t.Helper()
	ip, _, _ := strings.Cut(kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].status.podIP}"), " ")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Post("https://"+net.JoinHostPort(ip, "9443")+"/inject", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d", response.StatusCode)
	}
}
