//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Component and policy produce the same pods, for every kind and shape of workload, every
// set of endpoints, either source, and a region that is set or the node's.
func TestComponentAndPolicyAgree(t *testing.T) {
	t.Parallel()
	const fromAgent = ", " + podIdentity
	for _, tt := range []struct {
		endpoints, annotations string
		region                 string
	}{
		{region: "eu-west-1"},
		{endpoints: "ecs", annotations: ", irsa-sidecar/startup: hook", region: "eu-west-1"},
		{endpoints: "imds", annotations: fromAgent, region: "eu-west-1"},
		{endpoints: "ecs,imds"},
		{annotations: fromAgent + ", irsa-sidecar/zone: eu-west-1a"},
	} {
		t.Run(tt.endpoints+tt.annotations+tt.region, func(t *testing.T) {
			t.Parallel()
			checkAgreement(t, tt.endpoints, tt.annotations, tt.region)
		})
	}
}

func checkAgreement(t *testing.T, endpoints, annotations, region string) {
	var parts []string
	if endpoints != "" {
		parts = []string{privileged}
	}
	inject := "inject"
	if region == "" {
		inject = "inject-node"
	}
	component, policy := newNamespace(t, parts...), newNamespace(t, append(parts, inject, "guard")...)
	policy.role = component.role
	for _, n := range []*namespace{component, policy} {
		n.apply(n.serviceAccount())
	}
	var workloads strings.Builder
	want := 0
	for _, s := range shapes() {
		workloads.WriteString(workload("Deployment", s.name, s, endpoints, annotations))
		want++
	}
	for _, kind := range []string{"StatefulSet", "DaemonSet", "Job", "CronJob"} {
		workloads.WriteString(workload(kind, strings.ToLower(kind), shapes()[1], endpoints, annotations))
		want++
	}
	startup := "probe"
	if strings.Contains(annotations, "startup: hook") {
		startup = "hook"
	}
	component.applyDeploy("resources: [settings.yaml, workloads.yaml]\ncomponents: [../../component]\n", map[string]string{
		"workloads.yaml": workloads.String(),
		"settings.yaml":  fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: irsa-sidecar}\ndata: {image: %q, region: %q, role: %q, startup: %s}\n", shared.image, region, component.role, startup),
	})
	policy.apply(workloads.String())
	for _, n := range []*namespace{component, policy} {
		n.kubectl("create", "job", "--from=cronjob/cronjob", "by-hand")
	}
	ofComponent, ofPolicy := component.podsByShape(want), policy.podsByShape(want)
	for _, name := range slices.Sorted(maps.Keys(ofPolicy)) {
		t.Run(name, func(t *testing.T) { checkSame(t, ofComponent[name], ofPolicy[name], endpoints) })
	}
}

// checkSame checks that a pod of the Component equals that of the policy.
func checkSame(t *testing.T, a, b pod, endpoints string) {
	t.Helper()
	if inits := list(b.Spec, "initContainers"); endpoints == "" {
		checkPlacement(t, b.Spec)
	} else if len(inits) < 2 || inits[0]["name"] != "irsa-sidecar-link-local" || inits[1]["name"] != "irsa-sidecar" {
		t.Errorf("link-local and the sidecar are not the first init containers: %s", pretty(inits))
	}
	if got, want := normal(a.Spec), normal(b.Spec); !reflect.DeepEqual(got, want) {
		t.Fatalf("the Component produces\n%s\nthe policy\n%s", pretty(got), pretty(want))
	}
	for _, label := range []string{"irsa-sidecar/inject", "eks.amazonaws.com/skip-pod-identity-webhook"} {
		if a.Metadata.Labels[label] != "true" || b.Metadata.Labels[label] != "true" {
			t.Errorf("label %s: the Component sets %q, the policy %q", label, a.Metadata.Labels[label], b.Metadata.Labels[label])
		}
	}
	if got := a.Metadata.Annotations["irsa-sidecar/endpoints"]; got != endpoints {
		t.Errorf("annotation irsa-sidecar/endpoints: the Component sets %q, want %q", got, endpoints)
	}
	t.Log("proved: Component and policy produce the same pod")
}

// podsByShape waits for the pods of that many workloads and returns one pod each, by
// workload name.
func (n *namespace) podsByShape(want int) map[string]pod {
	n.Helper()
	pods := map[string]pod{}
	until(n.TB, time.Minute, func() error {
		var list struct{ Items []pod }
		if err := kubectlJSON(n.Context(), &list, "-n", n.name, "get", "pods", "-l", "shape", "-o", "json"); err != nil {
			return err
		}
		for _, p := range list.Items {
			pods[p.Metadata.Labels["shape"]] = p
		}
		if len(pods) != want {
			return fmt.Errorf("pods of %d workloads, want %d", len(pods), want)
		}
		return nil
	})
	return pods
}

// workload returns a workload of a kind. Label and annotation are on the workload for the
// Component and on its pods for the policy. Only a DaemonSet's pods are ever started.
func workload(kind, name string, s shape, endpoints, more string) string {
	head := map[string]string{
		"Deployment":  "apiVersion: apps/v1\nspec:\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"StatefulSet": "apiVersion: apps/v1\nspec:\n  serviceName: none\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"DaemonSet":   "apiVersion: apps/v1\nspec:\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"Job":         "apiVersion: batch/v1\nspec:\n  template:\n",
		"CronJob":     "apiVersion: batch/v1\nspec:\n  schedule: 0 0 1 1 *\n  jobTemplate:\n    spec:\n      template:\n",
	}[kind]
	// The Component replaces a region; the policy does not.
	annotations := fmt.Sprintf(`, annotations: {irsa-sidecar/set-region: "%t"%s`, s.name != "aws-variables", more)
	if endpoints != "" {
		annotations += fmt.Sprintf(", irsa-sidecar/endpoints: %q", endpoints)
	}
	annotations += "}"
	indent := "    "
	if kind == "CronJob" {
		indent = "        "
	}
	template := fmt.Sprintf("metadata: {labels: {shape: NAME, irsa-sidecar/inject: \"true\"}%s}\nspec:\n  serviceAccountName: example\n%s\n", annotations, s.yaml("  "))
	if kind != "DaemonSet" {
		template += "  nodeSelector: {" + ours + ": nowhere}\n"
	}
	if strings.HasSuffix(kind, "Job") {
		template += "  restartPolicy: Never\n"
	}
	template = indent + strings.ReplaceAll(strings.TrimSpace(template), "\n", "\n"+indent)
	return strings.ReplaceAll(fmt.Sprintf("kind: %s\nmetadata: {name: NAME, labels: {irsa-sidecar/inject: \"true\"}%s}\n%s%s\n---\n", kind, annotations, head, template), "NAME", name)
}
