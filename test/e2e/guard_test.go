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

// accounts are service accounts of all kinds.
const accounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: a-asks, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/inject: "true"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nonsense, annotations: {eks.amazonaws.com/role-arn: a}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: unsure, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/inject: "yes"}}
`

// native returns the init container irsa-sidecar with more of its fields.
func native(more string) string {
	return fmt.Sprintf("\n  initContainers: [{name: irsa-sidecar, image: none, restartPolicy: Always%s}]", more)
}

// hasRole is its role.
const hasRole = `, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}]`

// empty is a label with no value.
const empty = "(empty)"

// guided is a container that is led to the sidecar.
const guided = "{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}]"

// admission is a pod and what becomes of it.
type admission struct {
	name                        string
	account, label, annotations string
	containers, spec            string   // those of the pod, a guided one if empty; more of its spec
	refused                     []string // what the refusal says; nil: none
	sidecar                     bool     // whether an admitted pod has one
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
		containers = guided + "}"
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
	// The policies see service accounts through caches of their own.
	until(t, 10*time.Second, func() error {
		_, err := n.dryRun(admission{account: "unsure"}.pod())
		if answer, asks := n.dryRun(admission{account: "a-asks"}.pod()); err == nil || asks == nil && !strings.Contains(answer, "irsa-sidecar") {
			return errors.New("the policies do not see the service accounts yet")
		}
		return nil
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := n.dryRun(tt.pod())
			said := refusal(err)
			if (err != nil) != (tt.refused != nil) {
				t.Fatalf("refused: %v %s, want %t", err, said, tt.refused != nil)
			}
			for _, want := range tt.refused {
				if !strings.Contains(said, want) {
					t.Errorf("the refusal is %q, want %q in it", said, want)
				}
			}
			if has := strings.Contains(answer, `"name": "irsa-sidecar"`); err == nil && has != tt.sidecar {
				t.Errorf("it has a sidecar: %t, want %t", has, tt.sidecar)
			}
			t.Logf("proved: %s", map[bool]string{true: "admitted", false: said}[err == nil])
		})
	}
}

func TestGuardWithPolicy(t *testing.T) {
	t.Parallel()
	newNamespace(t, "inject", "guard", privileged).check(t, []admission{
		{name: "asked by label", label: "true", sidecar: true},
		{name: "asked by the service account", account: "a-asks", sidecar: true},
		{name: "the pod does not want it", account: "a-asks", label: "false"},
		{name: "nobody asked", account: "default"},
		{name: "hostNetwork, and nobody asked", account: "default", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork, and the pod does not want it", account: "a-asks", label: "false", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork", label: "true", spec: "\n  hostNetwork: true", refused: []string{"hostNetwork: the sidecar serves credentials on the loopback interface, which here is the node's"}},
		{name: "hostNetwork, asked by the service account", account: "a-asks", spec: "\n  hostNetwork: true", refused: []string{"hostNetwork: the sidecar serves"}},
		{name: "neither true nor false", label: "yes", refused: []string{`label irsa-sidecar/inject is "yes": set it to "true" or "false"`}},
		{name: "nearly false", account: "a-asks", label: "False", refused: []string{`label irsa-sidecar/inject is "False"`}},
		{name: "empty", label: empty, refused: []string{`label irsa-sidecar/inject is ""`}},
		{name: "the service account neither", account: "unsure", refused: []string{`annotation irsa-sidecar/inject of service account unsure is "yes"`}},
		{name: "no role", account: "default", label: "true", refused: []string{"the sidecar has no role (AWS_ROLE_ARN): annotate service account default", "eks.amazonaws.com/role-arn"}},
		{name: "the pod's role", account: "default", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, sidecar: true},
		{name: "two roles", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, refused: []string{roleA, roleB, "the pod's annotation eks.amazonaws.com/role-arn"}},
		{name: "the same role twice", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleA + `"`, sidecar: true},
		{name: "a role that is none", account: "default", label: "true", annotations: "eks.amazonaws.com/role-arn: a", refused: []string{`eks.amazonaws.com/role-arn is "a", and AWS_ROLE_ARN of the sidecar "a"`, "not the ARN of a role"}},
		{name: "a service account's role that is none", account: "nonsense", label: "true", refused: []string{`"a"`, "eks.amazonaws.com/role-arn of service account nonsense", "not the ARN of a role"}},
		{name: "a port of the sidecar", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 80}, {containerPort: 9912}]}", refused: []string{"container app wants port 9911 or 9912, which the sidecar has"}},
		{name: "another port", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 9913}]}", sidecar: true},
		{name: "somebody else's container of that name", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none}]", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "a mount of somebody else's token for STS", label: "true", spec: `
  volumes: [{name: aws-iam-token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]
  initContainers: [{name: setup, image: none, volumeMounts: [{name: aws-iam-token, mountPath: /t}]}]`, refused: []string{"a token for STS is mounted in setup:", "skip-containers"}},
	})
}

// Without deploy/inject the guard refuses what nothing has been added to, and knows
// what deploy/component, the webhook and people add.
func TestGuardAlone(t *testing.T) {
	t.Parallel()
	newNamespace(t, "guard", privileged).check(t, []admission{
		{name: "asked by label, and nothing added", label: "true", refused: []string{`the pod asks for the sidecar (label irsa-sidecar/inject: "true") and nothing has added it`, "deploy/inject", "deploy/component"}},
		{name: "asked by the service account, and nothing added", account: "a-asks", refused: []string{"service account a-asks asks for the sidecar", "deploy/inject"}},
		{name: "nobody asked"},
		{name: "added", label: "true", spec: native(hasRole), sidecar: true},
		{name: "added by hand, without a label", spec: native(hasRole), sidecar: true},
		{name: "added by hand, with hostNetwork", spec: native(hasRole) + "\n  hostNetwork: true", refused: []string{"hostNetwork: the sidecar serves"}},
		{name: "an ordinary container", label: "true", containers: "{name: app, image: none}, {name: irsa-sidecar, image: none" + hasRole + "}", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "restartPolicy taken off", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none" + hasRole + "}]", refused: []string{"container irsa-sidecar is not a native sidecar", "v0.5.3"}},
		{name: "no role", label: "true", spec: native(""), refused: []string{"the sidecar has no role (AWS_ROLE_ARN)", "eks.amazonaws.com/role-arn"}},
		{name: "an empty role", label: "true", spec: native(`, env: [{name: AWS_ROLE_ARN, value: ""}]`), refused: []string{"the sidecar has no role"}},
		{name: "another role than the service account's", label: "true", spec: native(`, env: [{name: AWS_ROLE_ARN, value: "` + roleB + `"}]`), refused: []string{roleA, roleB, "annotation eks.amazonaws.com/role-arn of service account a"}},
		{name: "a role that is none", account: "default", label: "true", spec: native(`, env: [{name: AWS_ROLE_ARN, value: nonsense}]`), refused: []string{`AWS_ROLE_ARN of the sidecar is "nonsense"`, "not the ARN of a role"}},
		{name: "a role by reference", label: "true", spec: native(`, env: [{name: AWS_ROLE_ARN, valueFrom: {configMapKeyRef: {name: r, key: r}}}]`), sidecar: true},
		{name: "a role by a flag", label: "true", spec: native(`, args: ["--role-arn", "` + roleA + `"]`), sidecar: true},
		{name: "a role by envFrom", label: "true", spec: native(`, envFrom: [{configMapRef: {name: r}}]`), sidecar: true},
		{name: "a port that the sidecar has left", label: "true", sidecar: true, containers: guided + ", ports: [{containerPort: 9911}]}",
			spec: native(`, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, {name: SIDECAR_LISTEN, value: "127.0.0.1:9999"}]`)},
		{name: "nobody is led to the sidecar", label: "true", containers: "{name: app, image: none, env: null}", spec: native(hasRole), refused: []string{"no container has the variable AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{name: "perhaps somebody is", label: "true", containers: "{name: app, image: none, envFrom: [{configMapRef: {name: r}}]}", spec: native(hasRole), sidecar: true},
		{name: "a token that is never replaced", label: "true", spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + native(hasRole+`, volumeMounts: [{name: token, mountPath: /t/token, subPath: token}]`), refused: []string{"mounts the token with subPath"}},
		{name: "the token in the sidecar only", label: "true", sidecar: true, spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + native(hasRole+`, volumeMounts: [{name: token, mountPath: /t}]`)},
	})
}

// A container for debugging may be added to a pod, but not with the token.
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
	said := refusal(debug(`{"name": "irsa-sidecar-token", "mountPath": "/t"}`))
	if !strings.Contains(said, "a token for STS must not be mounted in an ephemeral container") {
		t.Errorf("with the token the refusal is %q", said)
	}
	t.Logf("proved: %s", said)
}

// Mirror pods, which the kubelet makes of static ones, have no service account.
func TestMirrorPods(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	node := strings.TrimPrefix(strings.Fields(n.kubectl("get", "nodes", "-o", "name"))[0], "node/")
	var of struct{ Metadata struct{ UID string } }
	if err := kubectlJSON(t.Context(), &of, "get", "node", node, "-o", "json"); err != nil {
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
`, node, of.Metadata.UID), "create", "--as=system:node:"+node, "--as-group=system:nodes", "--dry-run=server", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("proved: the kubelet's mirror pods are admitted")
}

// What the guard says of a workload's pods stands in the events of the workload.
func TestGuardOfAWorkload(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard")
	n.apply(n.serviceAccount() + n.deployment(injected))
	until(t, 30*time.Second, func() error {
		for l := range strings.Lines(n.kubectl("describe", "replicasets")) {
			if strings.Contains(l, "nothing has added it") {
				t.Logf("proved: kubectl describe replicaset says: %s", strings.Join(strings.Fields(l), " "))
				return nil
			}
		}
		return errors.New("no event of the replica set says why there are no pods")
	})
}
