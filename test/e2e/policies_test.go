//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A constraint is a rule of a cluster for every container, as policy engines have them.
type constraint struct {
	name     string
	rule     string            // a CEL expression about a container c
	manifest string            // in its place, an object of the namespace
	refused  bool              // whether it refuses the sidecar without settings
	settings map[string]string // with which it admits the sidecar
}

func constraints() []constraint {
	const all = `["cpu", "memory", "ephemeral-storage"]`
	return []constraint{
		{name: "limits", rule: `["cpu", "memory"].all(r, r in c.?resources.?limits.orValue({}))`, refused: true, settings: map[string]string{"cpu-limit": "100m"}},
		{name: "greatest-limits", rule: `quantity(c.resources.?limits.?memory.orValue("1Gi")).compareTo(quantity("64Mi")) <= 0`},
		{name: "requests", rule: `["cpu", "memory"].all(r, r in c.?resources.?requests.orValue({})) && "memory" in c.resources.?limits.orValue({})`},
		{name: "ephemeral-storage", rule: all + `.all(r, r in c.?resources.?limits.orValue({}) && r in c.?resources.?requests.orValue({}))`, refused: true,
			settings: map[string]string{"cpu-limit": "100m", "ephemeral-storage-request": "1Mi", "ephemeral-storage-limit": "10Mi"}},
		{name: "memory-ratio-2", rule: `quantity(c.resources.limits.memory).asInteger() <= 2 * quantity(c.resources.requests.memory).asInteger()`},
		{name: "ratio-1", rule: `["cpu", "memory"].all(r, c.?resources.?limits[?r].orValue("none") == c.resources.requests[r])`, refused: true,
			settings: map[string]string{"cpu-request": "20m", "cpu-limit": "20m", "memory-request": "64Mi"}},
		{name: "users", rule: `c.securityContext.runAsUser >= 1000700000 && c.securityContext.runAsUser < 1000710000`, refused: true, settings: map[string]string{"uid": "1000700911"}},
		{name: "groups", rule: `c.securityContext.?runAsGroup.orValue(0) == 0`, refused: true, settings: map[string]string{"gid": "0"}},
		{name: "pull-policy", rule: `c.imagePullPolicy == "Always"`, refused: true, settings: map[string]string{"image-pull-policy": "Always"}},
		{name: "digests", rule: `c.image.matches("^registry[.]example[.]com/.+@sha256:[0-9a-f]{64}$")`, refused: true,
			settings: map[string]string{"image": "registry.example.com/irsa-sidecar@sha256:" + strings.Repeat("0", 64)}},
		{name: "no-latest", rule: `c.image.contains(":") && !c.image.endsWith(":latest")`},
		{name: "security", rule: `c.securityContext.readOnlyRootFilesystem && c.securityContext.runAsNonRoot && !c.securityContext.allowPrivilegeEscalation && c.securityContext.capabilities == {"drop": ["ALL"]} && c.securityContext.seccompProfile == {"type": "RuntimeDefault"}`},
		{name: "quota", refused: true, settings: map[string]string{"cpu-limit": "100m", "ephemeral-storage-request": "1Mi", "ephemeral-storage-limit": "10Mi"}, manifest: `
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {requests.cpu: 1, requests.memory: 1Gi, requests.ephemeral-storage: 1Gi, limits.cpu: 1, limits.memory: 1Gi, limits.ephemeral-storage: 1Gi}}
`},
		{name: "limit-range", refused: true, settings: map[string]string{"cpu-request": "50m", "cpu-limit": "100m", "memory-request": "64Mi", "memory-limit": "64Mi"}, manifest: `
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, min: {cpu: 50m, memory: 50Mi}, max: {cpu: 200m, memory: 100Mi}, maxLimitRequestRatio: {cpu: 2, memory: 2}}]}
`},
	}
}

// compliant is the pod of an application that meets every constraint.
const compliant = `
      serviceAccountName: example
      securityContext: {fsGroup: 1000700000}
      containers:
        - name: app
          image: registry.example.com/app:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000
          imagePullPolicy: Always
          env: [{name: AWS_REGION, value: eu-west-1}]
          resources:
            requests: &r {cpu: 100m, memory: 64Mi, ephemeral-storage: 8Mi}
            limits: *r
          securityContext: {runAsUser: 1000700000, runAsGroup: 0, runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
`

// Ordinary policies of a cluster admit the sidecar, if need be with settings: annotations
// with inject, keys of the ConfigMap with the Component.
func TestPoliciesOfOthers(t *testing.T) {
	t.Parallel()
	rules := newNamespace(t, "inject", "guard")
	rules.apply(rules.serviceAccount())
	var manifests strings.Builder
	for _, c := range constraints() {
		if c.rule != "" {
			fmt.Fprintf(&manifests, admissionPolicy, ours+"-"+c.name, ours, rules.name, c.name, c.rule)
		}
	}
	if _, err := kubectl(t.Context(), manifests.String(), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	// One set of keys for a cluster that has all of it.
	defaults, strict := rules.componentPod(nil), rules.componentPod(map[string]string{
		"cpu-request": "50m", "cpu-limit": "50m", "memory-request": "64Mi", "memory-limit": "64Mi", "ephemeral-storage-request": "1Mi", "ephemeral-storage-limit": "1Mi",
		"uid": "1000700911", "gid": "0", "image-pull-policy": "Always", "image": "registry.example.com/irsa-sidecar@sha256:" + strings.Repeat("0", 64),
	})
	for _, c := range constraints() {
		t.Run(c.name, func(t *testing.T) {
			n := rules
			if c.manifest != "" {
				n = newNamespace(t, "inject", "guard")
				n.role = rules.role
				n.apply(n.serviceAccount() + c.manifest)
			}
			until(t, 30*time.Second, func() error { // policies come into force with a delay
				_, err := n.dryRun(injectedPod(c.name, nil))
				if (err != nil) != c.refused || strings.Contains(refusal(err), "status unknown") {
					return fmt.Errorf("without settings the API server answered %v, want a refusal: %t", err, c.refused)
				}
				return nil
			})
			if _, err := n.dryRun(strings.Replace(defaults, "CONSTRAINT", c.name, 1)); (err != nil) != c.refused {
				t.Errorf("the Component's pod without settings: the API server answered %v, want a refusal: %t", err, c.refused)
			}
			pods := map[string]string{"the Component": strings.Replace(strict, "CONSTRAINT", c.name, 1)}
			if c.name != "digests" { // with inject the image is the cluster's setting
				pods["inject"] = injectedPod(c.name, c.settings)
			}
			for way, pod := range pods {
				answer, err := n.dryRun(pod)
				if err != nil || !strings.Contains(answer.object, `"name":"irsa-sidecar"`) {
					t.Errorf("%s, with settings: the API server answered %v", way, err)
				}
				if c.name == "ratio-1" && !strings.Contains(answer.object, `"qosClass":"Guaranteed"`) {
					t.Errorf("%s: the pod is not Guaranteed", way)
				}
			}
			if c.refused && !t.Failed() {
				t.Logf("proved: refused without settings, admitted with %v", c.settings)
			}
		})
	}
}

// admissionPolicy is a policy for the pods of a namespace with a label.
const admissionPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s, labels: {%[2]s: "true"}}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[3]s}}
    objectSelector: {matchLabels: {constraint: %[4]s}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
    - message: refused by constraint %[4]s
      expression: >-
        (object.spec.containers + object.spec.?initContainers.orValue([])).all(c, %[5]s)
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s, labels: {%[2]s: "true"}}
spec: {policyName: %[1]s, validationActions: [Deny]}
---
`

func injectedPod(constraint string, settings map[string]string) string {
	var annotations []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		annotations = append(annotations, fmt.Sprintf("irsa-sidecar/%s: %q", name, settings[name]))
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: example, labels: {irsa-sidecar/inject: \"true\", constraint: %s}, annotations: {%s}}\nspec:%s",
		constraint, strings.Join(annotations, ", "), compliant)
}

// componentPod returns a pod of a Deployment with the Component, labelled CONSTRAINT.
func (n *namespace) componentPod(settings map[string]string) string {
	n.Helper()
	dir := filepath.Join(n.TempDir(), "deploy")
	data := map[string]string{"image": shared.image, "region": "eu-west-1", "role": n.role}
	maps.Copy(data, settings)
	configMap := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": "irsa-sidecar"}, "data": data}
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: example, labels: {irsa-sidecar/inject: \"true\"}}\nspec:\n  selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x, constraint: CONSTRAINT}}\n    spec:" + compliant
	overlay := filepath.Join(dir, ours, "policies")
	for _, err := range []error{
		os.CopyFS(dir, os.DirFS(shared.deploy)),
		writeFile(filepath.Join(overlay, "settings.yaml"), pretty(configMap)),
		writeFile(filepath.Join(overlay, "deployment.yaml"), deployment),
		writeFile(filepath.Join(overlay, "kustomization.yaml"), "resources: [settings.yaml, deployment.yaml]\ncomponents: [../../component]\n"),
	} {
		if err != nil {
			n.Fatal(err)
		}
	}
	spec := objects(n.TB, "create", "-k", overlay, "--dry-run=client", "-o", "json")["Deployment example"]["spec"].(map[string]any)
	template := spec["template"].(map[string]any)
	template["metadata"].(map[string]any)["name"] = "example"
	metadata, err := json.Marshal(template["metadata"])
	if err != nil {
		n.Fatal(err)
	}
	podSpec, err := json.Marshal(template["spec"])
	if err != nil {
		n.Fatal(err)
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: %s\nspec: %s\n", metadata, podSpec)
}
