//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A platform team's settings: a ConfigMap, which service accounts and pods override.
func TestClusterSettings(t *testing.T) {
	t.Parallel()
	if !shared.injects() {
		t.Skip("NOT RUN: deploy/inject needs Kubernetes 1.36")
	}
	const settings = `
      memory-request: 33Mi
      ephemeral-storage-request: 5Mi
      ephemeral-storage-limit: 7Mi
      uid: "1000700911"
      image-pull-policy: Always
      startup: hook
      namespace-label: ` + ours + `/platform
      warnings: Deny
      env: |
        HTTPS_PROXY=http://proxy.example.com:3128
        # a comment
        SIDECAR_DURATION=2h
`
	dir := applySettings(t, settings)
	checkUnchanged(t, dir)
	other, n := newNamespace(t, privileged), newNamespace(t, privileged)
	n.kubectl("label", "namespace", n.name, ours+"/platform=")
	n.apply(accounts + `
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: settings, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/memory-request: 34Mi, irsa-sidecar/cpu-limit: 100m}}
`)
	type want struct {
		requests, limits string
		uid              float64
	}
	for _, tt := range []struct {
		name, account, annotations string
		want                       want
	}{
		{"ConfigMap", "a", "", want{`map[cpu:10m ephemeral-storage:5Mi memory:33Mi]`, `map[ephemeral-storage:7Mi memory:64Mi]`, 1000700911}},
		{"service account", "settings", "", want{`map[cpu:10m ephemeral-storage:5Mi memory:34Mi]`, `map[cpu:100m ephemeral-storage:7Mi memory:64Mi]`, 1000700911}},
		{"pod", "settings", `irsa-sidecar/memory-request: 35Mi, irsa-sidecar/cpu-limit: none, irsa-sidecar/uid: "5", irsa-sidecar/ephemeral-storage-limit: "", irsa-sidecar/startup: probe`, want{`map[cpu:10m ephemeral-storage:5Mi memory:35Mi]`, `map[ephemeral-storage:7Mi memory:64Mi]`, 5}},
		{"endpoints", "a", "irsa-sidecar/endpoints: ecs", want{`map[cpu:10m ephemeral-storage:5Mi memory:33Mi]`, `map[ephemeral-storage:7Mi memory:64Mi]`, 1000700911}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range n.awaitSidecars(t, tt.account, tt.annotations) {
				resources, security := c["resources"].(map[string]any), c["securityContext"].(map[string]any)
				uid := tt.want.uid
				if c["name"] == "irsa-sidecar-link-local" {
					uid = 0
				} else if hook := tt.name != "pod"; hook != (c["lifecycle"] != nil) || hook != (c["startupProbe"] == nil) {
					t.Errorf("it has the startup probe %v and the hook %v", c["startupProbe"], c["lifecycle"])
				}
				if image := c["image"].(string); !strings.HasPrefix(image, "registry.example.com/irsa-sidecar@sha256:") {
					t.Errorf("%s has the image %s", c["name"], image)
				}
				if got := (want{fmt.Sprint(resources["requests"]), fmt.Sprint(resources["limits"]), security["runAsUser"].(float64)}); got != (want{tt.want.requests, tt.want.limits, uid}) || c["imagePullPolicy"] != "Always" {
					t.Errorf("%s has %+v and pull policy %s, want %+v", c["name"], got, c["imagePullPolicy"], tt.want)
				}
			}
		})
	}
	t.Run("variables", func(t *testing.T) {
		for annotations, want := range map[string]map[string]any{
			"":                          {"HTTPS_PROXY": "http://proxy.example.com:3128", "SIDECAR_DURATION": "2h"},
			`irsa-sidecar/duration: ""`: {"HTTPS_PROXY": "http://proxy.example.com:3128", "SIDECAR_DURATION": "2h"},
			"irsa-sidecar/duration: 3h": {"HTTPS_PROXY": "http://proxy.example.com:3128", "SIDECAR_DURATION": nil},
		} {
			got := map[string]any{}
			for _, e := range list(n.awaitSidecars(t, "a", annotations)[0], "env") {
				if _, ok := want[e["name"].(string)]; ok {
					got[e["name"].(string)] = e["value"]
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("with the annotation %q the sidecar has the variables %v, want %v", annotations, got, want)
			}
		}
	})
	t.Run("warnings", func(t *testing.T) {
		_, err := n.dryRun(admission{label: "true", containers: "{name: app, image: none, env: [{name: AWS_PROFILE, value: x}]}"}.pod())
		if want := "variables take precedence over the sidecar in container app (AWS_PROFILE)"; !strings.Contains(refusal(err), want) {
			t.Errorf("the API server answered %v, want %q", err, want)
		}
	})
	t.Run("another namespace", func(t *testing.T) {
		if answer, err := other.dryRun(admission{account: "default", label: "yes"}.pod()); err != nil || strings.Contains(answer.object, "9911") {
			t.Errorf("the API server answered %v, %s", err, answer.object)
		}
	})
	t.Run("invalid", func(t *testing.T) {
		applySettings(t, settings+"        NO_PROXY: x\n      cpu-limit: 100 m\n")
		until(t, 30*time.Second, func() error {
			_, err := n.dryRun(admission{label: "true"}.pod())
			for _, setting := range []string{"cpu-limit: 100 m", "env: NO_PROXY: x"} {
				want := "the policy irsa-sidecar has an invalid setting, " + setting + "; correct it in the ConfigMap irsa-sidecar and apply deploy/inject again"
				if strings.Contains(refusal(err), want) {
					return nil
				}
			}
			return fmt.Errorf("the API server answered %v", err)
		})
	})
}

// With OpenShift's policy a pod's users are from a range, its groups too.
func TestUserRange(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.trust()
	n.apply(n.serviceAccount() + strings.NewReplacer(
		"serviceAccountName: example", "serviceAccountName: example\n      securityContext: {fsGroup: 1000700000}",
		"runAsUser: 1000,", "runAsUser: 1000700000,").Replace(n.deployment(injected+`, annotations: {irsa-sidecar/uid: "1000700911", irsa-sidecar/gid: "0", irsa-sidecar/cpu-limit: 100m, irsa-sidecar/ephemeral-storage-limit: 10Mi}`)))
	n.awaitIdentity(n.awaitRunning("app=example").Metadata.Name)
	t.Log("proved: the sidecar works as user 1000700911 with a group for files, a CPU limit and one of storage")
}

// applySettings applies inject and guard under other names, with these keys, and returns the
// kustomization.
func applySettings(t *testing.T, keys string) (dir string) {
	t.Helper()
	dir = filepath.Join(shared.deploy, ours, "platform")
	err := applyKustomization(t.Context(), "", dir, fmt.Sprintf(`
namePrefix: platform-
labels: [{pairs: {%s: "true"}}]
resources: [settings.yaml, ../../guard]
components: [../../inject]
`, ours), map[string]string{"settings.yaml": `
apiVersion: v1
kind: ConfigMap
metadata: {name: irsa-sidecar}
data:
      image: registry.example.com/irsa-sidecar@sha256:` + strings.Repeat("0", 64) + `
      region: eu-west-1` + keys})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// awaitSidecars returns the containers that inject adds to a pod, once it does.
func (n *namespace) awaitSidecars(t *testing.T, account, annotations string) (containers []map[string]any) {
	t.Helper()
	until(t, 30*time.Second, func() error {
		answer, err := n.dryRun(admission{account: account, label: "true", annotations: annotations, containers: "{name: app, image: none}"}.pod())
		if err != nil {
			return err
		}
		var p pod
		if err := json.Unmarshal([]byte(answer.object), &p); err != nil {
			return err
		}
		if containers = list(p.Spec, "initContainers"); len(containers) == 0 {
			return errors.New("the pod has no sidecar")
		}
		return nil
	})
	return containers
}
