//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A real Prometheus, configured as in deploy/monitoring with its operator and without, scrapes
// sidecars at their pods' addresses: one that serves, and one whose pod is still initializing.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(injected))
	n.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: untrusted, annotations: {eks.amazonaws.com/role-arn: ` + n.role + `}}
---` + strings.NewReplacer("name: example", "name: waiting", "app: example", "app: waiting", "serviceAccountName: example", "serviceAccountName: untrusted").Replace(n.deployment(injected)))
	monitor := n.applyMonitoring()
	serving := n.awaitRunning("app=example")
	n.awaitIdentity(serving.Metadata.Name)
	waiting := n.awaitPod("app=waiting", time.Minute, func(p *pod) error {
		if p.container("irsa-sidecar").State.Running == nil {
			return fmt.Errorf("the sidecar: %+v", p.container("irsa-sidecar").State)
		}
		return nil
	})
	prometheus := n.startPrometheus(monitor)
	tests := []struct{ name, query string }{
		{"without the operator it scrapes the same", fmt.Sprintf(`sum by (namespace, pod, container) (up{job="irsa-sidecar", namespace=%q, container="irsa-sidecar"}) == 1 and on (pod) irsa_sidecar_refresh_failing{job="irsa-sidecar", pod=%q}`, n.name, waiting.Metadata.Name)},
		{"it scrapes the sidecar that serves", fmt.Sprintf(`up{namespace=%q, pod=%q, container="irsa-sidecar"} == 1`, n.name, serving.Metadata.Name)},
		{"it knows when the credentials expire", fmt.Sprintf(`irsa_sidecar_credentials_expiration_timestamp_seconds{pod=%q} > time()`, serving.Metadata.Name)},
		{"it counts the application's requests", fmt.Sprintf(`irsa_sidecar_requests_total{pod=%q, code="200"} > 1`, serving.Metadata.Name)},
		{"it knows why the other pod has not started", fmt.Sprintf(`irsa_sidecar_refresh_failing{pod=%q, code="AccessDenied"} == 1`, waiting.Metadata.Name)},
		{"it scrapes nothing else in the namespace", `count(up) == 4 and count(up{job="irsa-sidecar"}) == 2`},
	}
	for _, tt := range tests {
		until(t, time.Minute, func() error {
			result, err := query(t.Context(), prometheus, tt.query)
			if err == nil && len(result) == 0 {
				err = fmt.Errorf("no result for %s", tt.query)
			}
			return err
		})
		t.Logf("proved: %s: %s", tt.name, tt.query)
	}
}

// podMonitor has the fields of a PodMonitor that the test supports.
type podMonitor struct {
	Metadata struct{ Name string }
	Spec     struct {
		NamespaceSelector   struct{ Any bool }
		Selector            struct{}
		PodMetricsEndpoints []struct {
			Port              string
			MetricRelabelings []struct {
				Action       string
				SourceLabels []string
				Regex        string
			}
		}
	}
}

// relabeling is a metricRelabeling in Prometheus's own format.
type relabeling struct {
	Action       string   `json:"action"`
	SourceLabels []string `json:"source_labels"`
	Regex        string   `json:"regex"`
}

// applyMonitoring applies deploy/monitoring in the namespace. If the cluster lacks the
// operator's resource definitions, it adds permissive ones.
func (n *namespace) applyMonitoring() podMonitor {
	n.Helper()
	for plural, kind := range map[string]string{"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"} {
		if _, err := n.tryKubectl("", "get", "customresourcedefinition", plural+".monitoring.coreos.com"); err == nil {
			continue
		}
		n.apply(fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.monitoring.coreos.com, labels: {%[3]s: "true"}}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: %[1]s, singular: %[4]s, kind: %[2]s, listKind: %[2]sList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, plural, kind, ours, strings.ToLower(kind)))
		n.kubectl("wait", "--for=condition=Established", "customresourcedefinition/"+plural+".monitoring.coreos.com", "--timeout=30s")
	}
	dir := filepath.Join(shared.deploy, ours, n.name, "monitoring")
	if err := applyKustomization(n.Context(), n.name, dir, "resources: [../../../monitoring]\nnamespace: "+n.name+"\n", nil); err != nil {
		n.Fatal(err)
	}
	checkNoDrift(n.TB, dir)
	var monitor podMonitor
	decoder := json.NewDecoder(strings.NewReader(n.kubectl("get", "podmonitor", "irsa-sidecar", "-o", "jsonpath={.spec}")))
	decoder.DisallowUnknownFields() // of the spec: the test would ignore a field that it does not support
	if err := decoder.Decode(&monitor.Spec); err != nil {
		n.Fatal(err)
	}
	if !monitor.Spec.NamespaceSelector.Any || len(monitor.Spec.PodMetricsEndpoints) != 1 {
		n.Fatalf("the PodMonitor is %+v", monitor)
	}
	return monitor
}

// startPrometheus starts Prometheus with the configuration that its operator generates
// from a PodMonitor, limited to the namespace, and returns its URL.
func (n *namespace) startPrometheus(monitor podMonitor) string {
	n.Helper()
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	metricRelabelings := []relabeling{}
	for _, r := range endpoint.MetricRelabelings {
		metricRelabelings = append(metricRelabelings, relabeling(r))
	}
	relabelings, err := json.Marshal(metricRelabelings)
	if err != nil {
		n.Fatal(err)
	}
	discovery := serve(n.TB, http.HandlerFunc(n.discoverPods))
	withoutOperator, err := os.ReadFile(filepath.Join(shared.deploy, "monitoring", "scrape.yaml"))
	if err != nil {
		n.Fatal(err)
	}
	dir := n.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	err = writeFile(config, fmt.Sprintf(`
global: {scrape_interval: 1s}
%[5]s
  - job_name: podMonitor/%[1]s
    http_sd_configs: [{url: %[2]q, refresh_interval: 1s}]
    relabel_configs:
      - {action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: (Failed|Succeeded)}
      - {action: keep, source_labels: [__meta_kubernetes_pod_container_port_name], regex: %[3]q}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
    metric_relabel_configs: %[4]s
`, n.name, discovery, endpoint.Port, relabelings, strings.Replace(string(withoutOperator), "kubernetes_sd_configs: [{role: pod}]", fmt.Sprintf("http_sd_configs: [{url: %q, refresh_interval: 1s}]", discovery), 1)))
	if err != nil {
		n.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, "prometheus", "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "warn")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		cancel()
		n.Fatal(err)
	}
	n.Cleanup(func() {
		cancel()
		cmd.Wait() // killed
	})
	return "http://" + address
}

// discoverPods returns the same targets as Prometheus's own pod discovery
// (discovery/kubernetes/pod.go), which Debian's package is built without: one for each port
// of each container, including init containers.
func (n *namespace) discoverPods(w http.ResponseWriter, r *http.Request) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	var found struct{ Items []*pod }
	if err := kubectlJSON(r.Context(), &found, "-n", n.name, "get", "pods", "-o", "json"); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, p := range found.Items {
		for _, c := range append(list(p.Spec, "containers"), list(p.Spec, "initContainers")...) {
			for _, port := range list(c, "ports") {
				if p.Status.PodIP == "" {
					continue
				}
				groups = append(groups, group{[]string{fmt.Sprintf("%s:%v", p.Status.PodIP, port["containerPort"])}, map[string]string{
					"__meta_kubernetes_namespace":               n.name,
					"__meta_kubernetes_pod_name":                p.Metadata.Name,
					"__meta_kubernetes_pod_phase":               p.Status.Phase,
					"__meta_kubernetes_pod_container_name":      fmt.Sprint(c["name"]),
					"__meta_kubernetes_pod_container_port_name": fmt.Sprint(port["name"]),
				}})
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(groups)
}

// query returns the result of an instant query.
func query(ctx context.Context, prometheus, expression string) ([]json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheus+"/api/v1/query?query="+url.QueryEscape(expression), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("query %s: %v: %s", expression, err, body)
	}
	return answer.Data.Result, nil
}
