//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// appEnv has the variables that every container gets.
var appEnv = map[string]string{
	"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9911/v1/credentials",
	"AWS_EC2_METADATA_DISABLED":          "true",
}

// regionEnv has the groups of variables that a container gets if it has none of the group.
var regionEnv = [][][2]string{
	{{"AWS_REGION", "eu-west-1"}, {"AWS_DEFAULT_REGION", "eu-west-1"}},
	{{"AWS_STS_REGIONAL_ENDPOINTS", "regional"}},
}

// The policy adds the sidecar and the variables, and changes nothing else.
func TestPolicyOnShapes(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount())
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			before := n.admit(t, "false", s)
			after := n.admit(t, "true", s)
			checkPlacement(t, after)
			checkAppEnv(t, before, after)
			if got, want := remainder(after), remainder(before); !reflect.DeepEqual(got, want) {
				t.Errorf("except for the additions the pod is\n%s\nwant\n%s", pretty(got), pretty(want))
			}
			t.Log("proved: sidecar first, variables in every other container, nothing else changed")
		})
	}
}

// admit returns the spec of the pod that the API server would create with that label.
func (n *namespace) admit(t *testing.T, label string, s shape) map[string]any {
	t.Helper()
	answer, err := n.dryRun(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {irsa-sidecar/inject: %q}}
spec:
  serviceAccountName: example
%s`, label, s.yaml("  ")))
	if err != nil {
		t.Fatal(err)
	}
	var p pod
	if err := json.Unmarshal([]byte(answer.object), &p); err != nil {
		t.Fatal(err)
	}
	return p.Spec
}

// checkPlacement checks that the first init container is the sidecar, a native one, and
// that no other container mounts the token.
func checkPlacement(t *testing.T, spec map[string]any) {
	t.Helper()
	inits := list(spec, "initContainers")
	if len(inits) == 0 || inits[0]["name"] != "irsa-sidecar" || inits[0]["restartPolicy"] != "Always" {
		t.Fatalf("the first init container is not the sidecar: %s", pretty(inits))
	}
	for _, c := range append(inits, list(spec, "containers")...) {
		for _, m := range list(c, "volumeMounts") {
			if m["name"] == "irsa-sidecar-token" && c["name"] != "irsa-sidecar" {
				t.Errorf("container %s mounts the token", c["name"])
			}
		}
	}
}

// checkAppEnv checks that every container except the sidecar has each variable once, in
// place of an existing one.
func checkAppEnv(t *testing.T, before, after map[string]any) {
	t.Helper()
	for _, kind := range []string{"containers", "initContainers"} {
		had := list(before, kind)
		has := slices.DeleteFunc(list(after, kind), func(c map[string]any) bool { return c["name"] == "irsa-sidecar" })
		if len(had) != len(has) {
			t.Fatalf("%d %s, want %d", len(has), kind, len(had))
		}
		for i, c := range has {
			var want []map[string]any
			missing := maps.Clone(appEnv)
			for _, e := range list(had[i], "env") {
				if value, ok := appEnv[e["name"].(string)]; ok {
					e = map[string]any{"name": e["name"], "value": value}
					delete(missing, e["name"].(string))
				}
				want = append(want, e)
			}
			for _, name := range slices.Sorted(maps.Keys(missing)) {
				want = append(want, map[string]any{"name": name, "value": missing[name]})
			}
			for _, group := range regionEnv {
				if slices.ContainsFunc(want, func(e map[string]any) bool { return e["name"] == group[0][0] || e["name"] == group[len(group)-1][0] }) {
					continue
				}
				for _, v := range group {
					want = append(want, map[string]any{"name": v[0], "value": v[1]})
				}
			}
			if got := list(c, "env"); !reflect.DeepEqual(got, want) {
				t.Errorf("container %s has variables\n%s\nwant\n%s", c["name"], pretty(got), pretty(want))
			}
		}
	}
}

// remainder returns a pod's spec without the additions.
func remainder(spec map[string]any) map[string]any {
	spec = normal(spec)
	drop := func(of map[string]any, key string, added func(map[string]any) bool) {
		kept := []any{}
		for _, item := range list(of, key) {
			if !added(item) {
				kept = append(kept, item)
			}
		}
		of[key] = kept
	}
	drop(spec, "initContainers", func(c map[string]any) bool { return c["name"] == "irsa-sidecar" })
	drop(spec, "volumes", func(v map[string]any) bool { return v["name"] == "irsa-sidecar-token" })
	for _, c := range append(list(spec, "initContainers"), list(spec, "containers")...) {
		drop(c, "env", func(e map[string]any) bool {
			_, ok := appEnv[e["name"].(string)]
			return ok || strings.Contains(fmt.Sprint(regionEnv), e["name"].(string)) // checkAppEnv checks their values
		})
	}
	return spec
}

// Component and policy produce the same pods, for every kind and shape of workload and
// every set of endpoints.
func TestComponentAndPolicyAgree(t *testing.T) {
	t.Parallel()
	for _, endpoints := range []string{"", "ecs", "imds", "ecs,imds"} {
		t.Run("endpoints "+endpoints, func(t *testing.T) {
			t.Parallel()
			checkAgreement(t, endpoints)
		})
	}
}

func checkAgreement(t *testing.T, endpoints string) {
	var parts []string
	if endpoints != "" {
		parts = []string{privileged}
	}
	component, policy := newNamespace(t, parts...), newNamespace(t, append(parts, "inject", "guard")...)
	policy.role = component.role
	for _, n := range []*namespace{component, policy} {
		n.apply(n.serviceAccount())
	}
	var workloads strings.Builder
	want := 0
	for _, s := range shapes() {
		workloads.WriteString(workload("Deployment", s.name, s, endpoints))
		want++
	}
	for _, kind := range []string{"StatefulSet", "DaemonSet", "Job", "CronJob"} {
		workloads.WriteString(workload(kind, strings.ToLower(kind), shapes()[1], endpoints))
		want++
	}
	component.applyDeploy("resources: [../../examples/settings, workloads.yaml]\ncomponents: [../../component]\n",
		map[string]string{"workloads.yaml": workloads.String()})
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
	until(n.T, time.Minute, func() error {
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
func workload(kind, name string, s shape, endpoints string) string {
	head := map[string]string{
		"Deployment":  "apiVersion: apps/v1\nspec:\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"StatefulSet": "apiVersion: apps/v1\nspec:\n  serviceName: none\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"DaemonSet":   "apiVersion: apps/v1\nspec:\n  selector: {matchLabels: {shape: NAME}}\n  template:\n",
		"Job":         "apiVersion: batch/v1\nspec:\n  template:\n",
		"CronJob":     "apiVersion: batch/v1\nspec:\n  schedule: 0 0 1 1 *\n  jobTemplate:\n    spec:\n      template:\n",
	}[kind]
	// The Component replaces a region; the policy does not.
	annotations := fmt.Sprintf(`, annotations: {irsa-sidecar/set-region: "%t"`, s.name != "aws-variables")
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

// normal returns a copy of a pod's spec without the fields that differ between pods and
// those that only the tests add.
func normal(spec map[string]any) map[string]any {
	text := regexp.MustCompile(`kube-api-access-\w{5}`).ReplaceAllString(pretty(spec), "kube-api-access")
	var copied map[string]any
	if err := json.Unmarshal([]byte(text), &copied); err != nil {
		panic(err)
	}
	for _, name := range []string{"nodeName", "hostname", "affinity"} {
		delete(copied, name) // set for StatefulSet and DaemonSet
	}
	// The position of the API server's own volume varies.
	slices.SortFunc(slice(copied["volumes"]), func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	for _, c := range list(copied, "initContainers") {
		env := []any{}
		for _, e := range list(c, "env") {
			if e["name"] != "AWS_ENDPOINT_URL_STS" {
				env = append(env, e)
			}
		}
		c["env"] = env
	}
	return copied
}

func list(of map[string]any, key string) (items []map[string]any) {
	for _, item := range slice(of[key]) {
		items = append(items, item.(map[string]any))
	}
	return items
}

// slice returns v, or nil if it is not a slice.
func slice(v any) []any {
	l, _ := v.([]any)
	return l
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}
