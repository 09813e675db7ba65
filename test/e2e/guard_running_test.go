//go:build e2e

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// An ephemeral container for debugging is allowed, but not one that gets at the token or
// the sidecar. The sidecar's image stays.
func TestGuardOfRunningPods(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard")
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {irsa-sidecar/inject: "true"}}
spec:
  nodeSelector: {%s: nowhere}
  containers: [{name: app, image: none, securityContext: %s, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}]}]%s%s
`, ours, restricted, tokenVolume("example"), nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t}], securityContext: `+strings.Replace(restricted, "1000", "9911", 1))))
	debug := func(fields, securityContext string) string {
		return fmt.Sprintf(`{"spec": {"ephemeralContainers": [{"name": "debug", "image": "none"%s, "securityContext":
			{"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}%s}}]}}`, fields, securityContext)
	}
	for _, tt := range []struct{ name, subresource, patch, refused string }{
		{"plain", "ephemeralcontainers", debug("", ""), ""},
		{"with the application's processes", "ephemeralcontainers", debug(`, "targetContainerName": "app"`, ""), ""},
		{"with the token", "ephemeralcontainers", debug(`, "volumeMounts": [{"name": "token", "mountPath": "/t"}]`, ""), "an ephemeral container must not mount a token for STS or EKS Pod Identity"},
		{"with the sidecar's processes", "ephemeralcontainers", debug(`, "targetContainerName": "irsa-sidecar"`, ""), "an ephemeral container must not target container irsa-sidecar"},
		{"as the sidecar's user", "ephemeralcontainers", debug("", `, "runAsUser": 9911`), "an ephemeral container must not run as user 9911, which is the sidecar's: set another runAsUser"},
		{"as another user", "ephemeralcontainers", debug("", `, "runAsUser": 1000`), ""},
		{"another image of the sidecar", "", `{"spec": {"initContainers": [{"name": "irsa-sidecar", "image": "other"}]}}`, "the image of the sidecar cannot be changed in a running pod"},
		{"another image of the application", "", `{"spec": {"containers": [{"name": "app", "image": "other"}]}}`, ""},
		{"a label", "", `{"metadata": {"labels": {"a": "b"}}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := n.tryKubectl("", "patch", "pod", "example", "--subresource", tt.subresource, "--dry-run=server", "-p", tt.patch)
			if message := refusal(err); (err != nil) != (tt.refused != "") || !strings.Contains(message, tt.refused) {
				t.Errorf("the API server answered %v, want %q", err, tt.refused)
			}
			t.Logf("proved: %s", cmp.Or(tt.refused, "admitted"))
		})
	}
}

// The kubelet's mirror pods have no service account.
func TestMirrorPods(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	node := strings.TrimPrefix(strings.Fields(n.kubectl("get", "nodes", "-o", "name"))[0], "node/")
	var object struct{ Metadata struct{ UID string } }
	if err := kubectlJSON(t.Context(), &object, "get", "node", node, "-o", "json"); err != nil {
		t.Fatal(err)
	}
	_, err := n.tryKubectl(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: static-%[1]s
  annotations: {kubernetes.io/config.mirror: x, kubernetes.io/config.source: file}
  ownerReferences: [{apiVersion: v1, kind: Node, name: %[1]q, uid: %[2]s, controller: true}]
spec: {nodeName: %[1]q, containers: [{name: app, image: none}]}
`, node, object.Metadata.UID), "create", "--as=system:node:"+node, "--as-group=system:nodes", "--dry-run=server", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("proved: the kubelet's mirror pods are admitted")
}

// The guard's message about a workload's pods is in the workload's events.
func TestGuardOfAWorkload(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard")
	n.apply(n.serviceAccount() + n.deployment(injected))
	until(t, 30*time.Second, func() error {
		for l := range strings.Lines(n.kubectl("describe", "replicasets")) {
			if strings.Contains(l, "but no sidecar") {
				t.Logf("proved: kubectl describe replicaset says: %s", strings.Join(strings.Fields(l), " "))
				return nil
			}
		}
		return errors.New("no event of the ReplicaSet says why it has no pods")
	})
}
