package monitoring

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../../.."
	directory = root + "/deploy/monitoring"
	runbook   = root + "/docs/runbook.md"
)

// manifests are the resources that `kubectl apply -k deploy/monitoring` applies.
type manifests struct {
	monitor   monitoringv1.PodMonitor
	rule      monitoringv1.PrometheusRule
	dashboard string // in the ConfigMap
}

// rules returns the alerts in order.
func (m *manifests) rules() (rules []monitoringv1.Rule) {
	for _, group := range m.rule.Spec.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// applied returns the manifests, decoded strictly.
func applied(t *testing.T) *manifests {
	t.Helper()
	m, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var build = sync.OnceValues(func() (*manifests, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	m := &manifests{}
	var errs []error
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		switch kind := r.GetKind(); kind {
		case "PodMonitor":
			errs = append(errs, yaml.UnmarshalStrict(text, &m.monitor))
		case "PrometheusRule":
			errs = append(errs, yaml.UnmarshalStrict(text, &m.rule))
		case "ConfigMap":
			m.dashboard = r.GetDataMap()["dashboard.json"]
			if r.GetLabels()["grafana_dashboard"] != "1" {
				errs = append(errs, fmt.Errorf("ConfigMap %s: want the label grafana_dashboard: \"1\"", r.GetName()))
			}
		default:
			errs = append(errs, fmt.Errorf("unexpected resource of kind %s", kind))
		}
		if r.GetNamespace() != "monitoring" {
			errs = append(errs, fmt.Errorf("%s: want the namespace monitoring, got %q", r.GetName(), r.GetNamespace()))
		}
	}
	if resources.Size() != 3 {
		errs = append(errs, fmt.Errorf("want 3 resources, got %d", resources.Size()))
	}
	return m, errors.Join(errs...)
})

func TestPodMonitorSelectsTheSidecarsPort(t *testing.T) {
	spec := applied(t).monitor.Spec
	if !spec.NamespaceSelector.Any || len(spec.Selector.MatchLabels)+len(spec.Selector.MatchExpressions) > 0 {
		t.Errorf("want the pods of all namespaces, with any labels, got %+v and %+v", spec.NamespaceSelector, spec.Selector)
	}
	if len(spec.PodMetricsEndpoints) != 1 || spec.PodMetricsEndpoints[0].Port == nil {
		t.Fatalf("want one endpoint with a port name, got %+v", spec.PodMetricsEndpoints)
	}
	install, err := os.ReadFile(root + "/docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprintf("{name: %s, containerPort: 9912}", *spec.PodMetricsEndpoints[0].Port)
	if !strings.Contains(string(install), port) {
		t.Errorf("docs/install.md does not contain the port %s", port)
	}
}

func TestEveryAlertHasARunbookSection(t *testing.T) {
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, rule := range applied(t).rules() {
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: want the severity critical or warning, got %q", rule.Alert, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if rule.Annotations[annotation] == "" {
				t.Errorf("%s: want the annotation %s", rule.Alert, annotation)
			}
		}
		url := rule.Annotations["runbook_url"]
		if want := "/docs/runbook.md#" + strings.ToLower(rule.Alert); !strings.HasSuffix(url, want) {
			t.Errorf("%s: want a runbook_url that ends with %s, got %q", rule.Alert, want, url)
		}
		if !slices.Contains(lines, "## "+rule.Alert) {
			t.Errorf("%s: want a section in docs/runbook.md", rule.Alert)
		}
	}
}
