//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	roleA = "arn:aws:iam::111122223333:role/a"
	roleB = "arn:aws-us-gov:iam::444455556666:role/team/b"
)

// accounts are the service accounts of the tests.
const accounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: annotated, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/inject: "true"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: invalid-role, annotations: {eks.amazonaws.com/role-arn: a}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: annotated-yes, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/inject: "yes"}}
`

// nativeSidecar returns the init container irsa-sidecar with additional fields.
func nativeSidecar(more string) string {
	return fmt.Sprintf("\n  initContainers: [{name: irsa-sidecar, image: none, restartPolicy: Always%s}]", more)
}

// roleEnv sets its role.
const roleEnv = `, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}]`

// empty stands for a label with an empty value.
const empty = "(empty)"

// clientContainer is a container with the full URI; the test adds the closing brace.
const clientContainer = "{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}]"

// admission is a pod and the expected result of its admission.
type admission struct {
	name                        string
	account, label, annotations string
	containers, spec            string   // containers (default: clientContainer) and additional fields of the spec
	refused                     []string // texts in the refusal; nil if admitted
	sidecar                     bool     // whether an admitted pod has the sidecar
}

func (a admission) pod() string {
	metadata := "name: example"
	if a.label != "" {
		metadata += fmt.Sprintf(", labels: {irsa-sidecar/inject: %q}", strings.TrimPrefix(a.label, empty))
	}
	if a.annotations != "" {
		metadata += ", annotations: {" + a.annotations + "}"
	}
	account := a.account
	if account == "" {
		account = "a"
	}
	containers := a.containers
	if containers == "" {
		containers = clientContainer + "}"
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {%s}
spec:
  serviceAccountName: %s
  containers: [%s]%s
`, metadata, account, containers, a.spec)
}

func (n *namespace) check(t *testing.T, tests []admission) {
	n.Helper()
	n.apply(accounts)
	// The policies read service accounts from their own caches.
	until(t, 10*time.Second, func() error {
		_, err := n.dryRun(admission{account: "annotated-yes"}.pod())
		if answer, refused := n.dryRun(admission{account: "annotated"}.pod()); err == nil || refused == nil && !strings.Contains(answer, "irsa-sidecar") {
			return errors.New("the policies do not see the service accounts yet")
		}
		return nil
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := n.dryRun(tt.pod())
			message := refusal(err)
			if (err != nil) != (tt.refused != nil) {
				t.Fatalf("the API server answered %v %s, want a refusal: %t", err, message, tt.refused != nil)
			}
			for _, want := range tt.refused {
				if !strings.Contains(message, want) {
					t.Errorf("the refusal is %q, want %q in it", message, want)
				}
			}
			if has := strings.Contains(answer, `"name": "irsa-sidecar"`); err == nil && has != tt.sidecar {
				t.Errorf("the pod has a sidecar: %t, want %t", has, tt.sidecar)
			}
			t.Logf("proved: %s", map[bool]string{true: "admitted", false: message}[err == nil])
		})
	}
}

func TestGuardWithPolicy(t *testing.T) {
	t.Parallel()
	newNamespace(t, "inject", "guard", privileged).check(t, []admission{
		{name: "label true", label: "true", sidecar: true},
		{name: "annotated service account", account: "annotated", sidecar: true},
		{name: "annotated service account, label false", account: "annotated", label: "false"},
		{name: "no label, no annotation", account: "default"},
		{name: "hostNetwork, no label", account: "default", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork, label false", account: "annotated", label: "false", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork", label: "true", spec: "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork, so the sidecar would serve credentials on the node's loopback interface", "remove hostNetwork"}},
		{name: "hostNetwork, annotated service account", account: "annotated", spec: "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "label yes", label: "yes", refused: []string{`the pod's label irsa-sidecar/inject is "yes": set it to "true" or "false"`}},
		{name: "label False", account: "annotated", label: "False", refused: []string{`label irsa-sidecar/inject is "False"`}},
		{name: "empty label", label: empty, refused: []string{`label irsa-sidecar/inject is ""`}},
		{name: "service account annotated yes", account: "annotated-yes", refused: []string{`annotation irsa-sidecar/inject of service account annotated-yes is "yes": set it to "true" or "false"`}},
		{name: "no role", account: "default", label: "true", refused: []string{"the sidecar has no role (AWS_ROLE_ARN): annotate service account default", "eks.amazonaws.com/role-arn"}},
		{name: "role from the pod's annotation", account: "default", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, sidecar: true},
		{name: "two different roles", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, refused: []string{roleA, roleB, "the pod's annotation eks.amazonaws.com/role-arn", "make them the same"}},
		{name: "the same role twice", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleA + `"`, sidecar: true},
		{name: "invalid role in the pod's annotation", account: "default", label: "true", annotations: "eks.amazonaws.com/role-arn: a", refused: []string{`the pod's annotation eks.amazonaws.com/role-arn is "a", which is not a role ARN`, "set it to arn:aws:iam::ACCOUNT:role/NAME, or remove it", `(the sidecar's AWS_ROLE_ARN is "a")`}},
		{name: "invalid role in the service account's annotation", account: "invalid-role", label: "true", refused: []string{`"a"`, "eks.amazonaws.com/role-arn of service account invalid-role", "which is not a role ARN", "set it to arn:aws:iam::ACCOUNT:role/NAME"}},
		{name: "port of the sidecar", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 80}, {containerPort: 9912}]}", refused: []string{"port 9911 or 9912 is declared in container app, but the sidecar uses both: use another port there"}},
		{name: "another port", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 9913}]}", sidecar: true},
		{name: "unrelated init container irsa-sidecar", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none}]", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "token mounted in another container", label: "true", spec: `
  volumes: [{name: aws-iam-token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]
  initContainers: [{name: setup, image: none, volumeMounts: [{name: aws-iam-token, mountPath: /t}]}]`, refused: []string{"a token for STS is mounted in container setup: a newer AWS SDK there would use it and bypass the sidecar", "Remove the mount", "skip-containers"}},
	})
}

// Without deploy/inject the guard refuses pods that lack the sidecar, and accepts a
// correct sidecar from deploy/component or written by hand.
func TestGuardAlone(t *testing.T) {
	t.Parallel()
	newNamespace(t, "guard", privileged).check(t, []admission{
		{name: "label true, no sidecar", label: "true", refused: []string{`the pod has the label irsa-sidecar/inject: "true" but no sidecar`, "apply deploy/inject", "deploy/component"}},
		{name: "annotated service account, no sidecar", account: "annotated", refused: []string{`service account annotated has the annotation irsa-sidecar/inject: "true", but the pod has no sidecar`, "apply deploy/inject"}},
		{name: "no label, no annotation"},
		{name: "sidecar present", label: "true", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "sidecar written by hand, no label", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "sidecar written by hand, hostNetwork", spec: nativeSidecar(roleEnv) + "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "sidecar as an ordinary container", label: "true", containers: "{name: app, image: none}, {name: irsa-sidecar, image: none" + roleEnv + "}", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "restartPolicy removed", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none" + roleEnv + "}]", refused: []string{"container irsa-sidecar is not a native sidecar: make it an init container with restartPolicy: Always", "v0.5.3", "upgrade the webhook"}},
		{name: "no role", label: "true", spec: nativeSidecar(""), refused: []string{"the sidecar has no role (AWS_ROLE_ARN)", "eks.amazonaws.com/role-arn"}},
		{name: "empty role", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: ""}]`), refused: []string{"the sidecar has no role"}},
		{name: "role differs from the service account's", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleB + `"}]`), refused: []string{roleA, roleB, "annotation eks.amazonaws.com/role-arn of service account a", "make them the same"}},
		{name: "invalid AWS_ROLE_ARN", account: "default", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: nonsense}]`), refused: []string{`the sidecar's AWS_ROLE_ARN is "nonsense", which is not a role ARN`, "set it to arn:aws:iam::ACCOUNT:role/NAME"}},
		{name: "role by reference", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, valueFrom: {configMapKeyRef: {name: r, key: r}}}]`), sidecar: true},
		{name: "role by flag", label: "true", spec: nativeSidecar(`, args: ["--role-arn", "` + roleA + `"]`), sidecar: true},
		{name: "role by envFrom", label: "true", spec: nativeSidecar(`, envFrom: [{configMapRef: {name: r}}]`), sidecar: true},
		{name: "default port of a sidecar that uses another", label: "true", sidecar: true, containers: clientContainer + ", ports: [{containerPort: 9911}]}",
			spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, {name: SIDECAR_LISTEN, value: "127.0.0.1:9999"}]`)},
		{name: "no container uses the sidecar", label: "true", containers: "{name: app, image: none, env: null}", spec: nativeSidecar(roleEnv), refused: []string{"no container has the variable AWS_CONTAINER_CREDENTIALS_FULL_URI", "set it to http://127.0.0.1:9911/v1/credentials"}},
		{name: "envFrom may set the URI", label: "true", containers: "{name: app, image: none, envFrom: [{configMapRef: {name: r}}]}", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "token mounted with subPath", label: "true", spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t/token, subPath: token}]`), refused: []string{"the sidecar mounts the token with subPath, so it would never see a new token", "mount the volume without subPath"}},
		{name: "token mounted in the sidecar only", label: "true", sidecar: true, spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t}]`)},
	})
}

// An ephemeral container for debugging is allowed, but not with the token.
func TestGuardOfEphemeralContainers(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount() + n.deployment(injected))
	p := n.awaitPod("app=example", time.Minute, func(*pod) error { return nil })
	debug := func(mounts string) error {
		_, err := n.tryKubectl("", "patch", "pod", p.Metadata.Name, "--subresource", "ephemeralcontainers", "--dry-run=server", "-p",
			fmt.Sprintf(`{"spec": {"ephemeralContainers": [{"name": "debug", "image": "none", "securityContext":
				{"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}, "volumeMounts": [%s]}]}}`, mounts))
		return err
	}
	if err := debug(""); err != nil {
		t.Errorf("without a mount: %v", err)
	}
	message := refusal(debug(`{"name": "irsa-sidecar-token", "mountPath": "/t"}`))
	if !strings.Contains(message, "an ephemeral container must not mount a token for STS") {
		t.Errorf("with the token the refusal is %q", message)
	}
	t.Logf("proved: %s", message)
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
