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
metadata: {name: labelled, labels: {irsa-sidecar/inject: "true"}, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: invalid-role, annotations: {eks.amazonaws.com/role-arn: a}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: of-ceph, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam:::role/team/a"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: labelled-false, labels: {irsa-sidecar/inject: "false"}, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `"}}
`

// nativeSidecar returns the init container irsa-sidecar with additional fields.
func nativeSidecar(more string) string {
	return fmt.Sprintf("\n  initContainers: [{name: irsa-sidecar, image: none, restartPolicy: Always%s}]", more)
}

// roleEnv sets its role.
const roleEnv = `, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}]`

// empty stands for a label with an empty value.
const empty = "(empty)"

// relativeContainer is a container with the relative URI alone.
const relativeContainer = "{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, value: /v1/credentials}]}"

// tokenVolume returns a volume with a token of that audience.
func tokenVolume(audience string) string {
	return "\n  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: " + audience + ", path: token}}]}}]"
}

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
		metadata += fmt.Sprintf(`, labels: {irsa-sidecar/inject: "%s"}`, strings.TrimPrefix(a.label, empty))
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
		answer, err := n.dryRun(admission{account: "labelled"}.pod())
		if err == nil && !strings.Contains(answer.object, "irsa-sidecar") {
			return errors.New("the policies do not see the service accounts yet")
		}
		return nil
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := n.dryRun(tt.pod())
			message := refusal(err)
			if (err != nil) != (tt.refused != nil) {
				t.Fatalf("the API server answered %v, want a refusal: %t", err, tt.refused != nil)
			}
			for _, want := range tt.refused {
				if !strings.Contains(message, want) {
					t.Errorf("the refusal is %q, want %q in it", message, want)
				}
			}
			if has := strings.Contains(answer.object, `"name":"irsa-sidecar"`); err == nil && has != tt.sidecar {
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
		{name: "labelled service account", account: "labelled", sidecar: true},
		{name: "labelled service account, label false", account: "labelled", label: "false"},
		{name: "no label", account: "default"},
		{name: "hostNetwork, no label", account: "default", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork, label false", account: "labelled", label: "false", spec: "\n  hostNetwork: true"},
		{name: "hostNetwork", label: "true", spec: "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork, so the sidecar would serve credentials on the node's loopback interface", "remove hostNetwork"}},
		{name: "hostNetwork, labelled service account", account: "labelled", spec: "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "hostPID", label: "true", spec: "\n  hostPID: true", refused: []string{"the pod uses hostPID, so any process on the node that runs as the sidecar's user could stop the sidecar: remove hostPID"}},
		{name: "hostPID, label false", label: "false", spec: "\n  hostPID: true"},
		{name: "os windows", label: "true", spec: "\n  os: {name: windows}", refused: []string{"the pod is for Windows, but the sidecar runs on Linux only", `label irsa-sidecar/inject: "false"`}},
		{name: "node selector for Windows", label: "true", spec: "\n  nodeSelector: {kubernetes.io/os: windows}", refused: []string{"the pod is for Windows"}},
		{name: "Windows, labelled service account", account: "labelled", spec: "\n  os: {name: windows}", refused: []string{"the pod is for Windows"}},
		{name: "volume of the same name, labelled service account", account: "labelled", spec: "\n  volumes: [{name: irsa-sidecar-token, emptyDir: {}}]", refused: []string{"the pod has a volume irsa-sidecar-token of its own"}},
		{name: "node selector for Linux", label: "true", spec: "\n  nodeSelector: {kubernetes.io/os: linux}", sidecar: true},
		{name: "user of the sidecar", label: "true", containers: "{name: app, image: none}, {name: two, image: none, securityContext: {runAsUser: 9911}}", refused: []string{"container two runs as user 9911, which is the sidecar's, and could stop the sidecar: set another runAsUser there"}},
		{name: "user of the sidecar for the whole pod", label: "true", containers: "{name: app, image: none, securityContext: {runAsUser: 1000}}, {name: two, image: none}", spec: "\n  securityContext: {runAsUser: 9911}", refused: []string{"container two runs as user 9911"}},
		{name: "user of the sidecar by annotation", label: "true", annotations: `irsa-sidecar/uid: "1000"`, spec: "\n  securityContext: {runAsUser: 1000}", refused: []string{"container app runs as user 1000, which is the sidecar's"}},
		{name: "usual user of the sidecar, which has another", label: "true", annotations: `irsa-sidecar/uid: "9912"`, spec: "\n  securityContext: {runAsUser: 9911}", sidecar: true},
		{name: "another user", label: "true", spec: "\n  securityContext: {runAsUser: 1000}", sidecar: true},
		{name: "volume of the same name", label: "true", spec: "\n  volumes: [{name: irsa-sidecar-token, emptyDir: {}}]", refused: []string{"the pod has a volume irsa-sidecar-token of its own", "rename the pod's volume"}},
		{name: "label of an injected pod", label: `true", irsa-sidecar/requested-by: "pod`, refused: []string{"the pod has the label irsa-sidecar/requested-by, which deploy/inject sets, but no sidecar: remove this label"}},
		{name: "label yes", label: "yes", refused: []string{`the pod's label irsa-sidecar/inject is "yes": set it to "true" or "false"`}},
		{name: "label False", account: "labelled", label: "False", refused: []string{`label irsa-sidecar/inject is "False"`}},
		{name: "empty label", label: empty, refused: []string{`label irsa-sidecar/inject is ""`}},
		{name: "service account labelled false", account: "labelled-false"},
		{name: "service account labelled false, label true", account: "labelled-false", label: "true", sidecar: true},
		{name: "the role differs from the labelled service account's", account: "labelled", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, refused: []string{roleA, roleB, "make them the same"}},
		{name: "no role", account: "default", label: "true", refused: []string{"the sidecar has no role (AWS_ROLE_ARN or --role-arn): annotate service account default", "eks.amazonaws.com/role-arn"}},
		{name: "role from the pod's annotation", account: "default", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, sidecar: true},
		{name: "two different roles", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, refused: []string{roleA, roleB, "the pod's annotation eks.amazonaws.com/role-arn", "make them the same"}},
		{name: "the same role twice", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleA + `"`, sidecar: true},
		{name: "invalid role in the pod's annotation", account: "default", label: "true", annotations: "eks.amazonaws.com/role-arn: a", refused: []string{`the pod's annotation eks.amazonaws.com/role-arn is "a", which is not a role ARN`, "set it to arn:aws:iam::ACCOUNT:role/NAME, or remove it", `(the sidecar's AWS_ROLE_ARN is "a")`}},
		{name: "invalid role in the service account's annotation", account: "invalid-role", label: "true", refused: []string{`"a"`, "eks.amazonaws.com/role-arn of service account invalid-role", "which is not a role ARN", "set it to arn:aws:iam::ACCOUNT:role/NAME"}},
		{name: "port of the sidecar", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 80}, {containerPort: 9912}]}", refused: []string{"port 9911 or 9912 is declared in container app, but the sidecar uses both: use another port there"}},
		{name: "ports of the sidecar with UDP", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 9911, protocol: UDP}, {containerPort: 9912, protocol: UDP}]}", sidecar: true},
		{name: "another port", label: "true", containers: "{name: app, image: none, ports: [{containerPort: 9913}]}", sidecar: true},
		{name: "unrelated init container irsa-sidecar", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none}]", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "token mounted in another container", label: "true", spec: `
  volumes: [{name: aws-iam-token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]
  initContainers: [{name: setup, image: none, volumeMounts: [{name: aws-iam-token, mountPath: /t}]}]`, refused: []string{"a token for STS or EKS Pod Identity is mounted in container setup: a newer AWS SDK there would use it and bypass the sidecar", "Remove the mount", "skip-containers"}},
	})
}

// Without deploy/inject the guard refuses pods that lack the sidecar, and accepts a
// correct sidecar from deploy/component or written by hand.
func TestGuardAlone(t *testing.T) {
	t.Parallel()
	newNamespace(t, "guard", privileged).check(t, []admission{
		{name: "label true, no sidecar", label: "true", refused: []string{`the pod has the label irsa-sidecar/inject: "true" but no sidecar`, "apply deploy/inject", "deploy/component"}},
		{name: "labelled service account, no sidecar", account: "labelled", refused: []string{`service account labelled has the label irsa-sidecar/inject: "true", but the pod has no sidecar`, "apply deploy/inject"}},
		{name: "no label"},
		{name: "sidecar present", label: "true", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "sidecar written by hand, no label", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "sidecar written by hand, no label, role differs from the labelled service account's", account: "labelled", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleB + `"}]`), refused: []string{roleA, roleB, "service account labelled"}},
		{name: "sidecar written by hand, hostNetwork", spec: nativeSidecar(roleEnv) + "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "sidecar as an ordinary container", label: "true", containers: "{name: app, image: none}, {name: irsa-sidecar, image: none" + roleEnv + "}", refused: []string{"container irsa-sidecar is not a native sidecar"}},
		{name: "restartPolicy removed", label: "true", spec: "\n  initContainers: [{name: irsa-sidecar, image: none" + roleEnv + "}]", refused: []string{"container irsa-sidecar is not a native sidecar: make it an init container with restartPolicy: Always", "an admission webhook that is too old for native sidecars has removed restartPolicy, such as the EKS pod identity webhook before v0.5.3", "upgrade that webhook"}},
		{name: "no role", label: "true", spec: nativeSidecar(""), refused: []string{"the sidecar has no role (AWS_ROLE_ARN or --role-arn)", "eks.amazonaws.com/role-arn"}},
		{name: "empty role", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: ""}]`), refused: []string{"the sidecar has no role"}},
		{name: "role differs from the service account's", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleB + `"}]`), refused: []string{roleA, roleB, "annotation eks.amazonaws.com/role-arn of service account a", "make them the same"}},
		{name: "invalid AWS_ROLE_ARN", account: "default", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: nonsense}]`), refused: []string{`the sidecar's AWS_ROLE_ARN is "nonsense", which is not a role ARN`, "set it to arn:aws:iam::ACCOUNT:role/NAME"}},
		{name: "role by reference", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, valueFrom: {configMapKeyRef: {name: r, key: r}}}]`), sidecar: true},
		{name: "role by flag", label: "true", spec: nativeSidecar(`, args: ["--role-arn", "` + roleA + `"]`), sidecar: true},
		{name: "role by flag, other forms", label: "true", spec: nativeSidecar(`, args: ["-log-level=debug", "-role-arn=` + roleA + `"]`), sidecar: true},
		{name: "role by flag that differs from the service account's", label: "true", spec: nativeSidecar(roleEnv + `, args: ["--role-arn=` + roleB + `"]`), refused: []string{roleA, roleB, "annotation eks.amazonaws.com/role-arn of service account a", "make them the same"}},
		{name: "role by flag that differs from the pod's", account: "default", label: "true", annotations: `eks.amazonaws.com/role-arn: "` + roleA + `"`, spec: nativeSidecar(`, args: ["--role-arn", "` + roleB + `"]`), refused: []string{roleA, roleB, "the pod's annotation eks.amazonaws.com/role-arn", "make them the same"}},
		{name: "empty role by flag", label: "true", spec: nativeSidecar(roleEnv + `, args: ["--role-arn="]`), refused: []string{"the sidecar has no role"}},
		{name: "invalid role by flag", account: "default", label: "true", spec: nativeSidecar(`, args: ["--role-arn=nonsense"]`), refused: []string{`the sidecar's AWS_ROLE_ARN is "nonsense", which is not a role ARN`}},
		{name: "role by flag from a reference", label: "true", spec: nativeSidecar(`, args: ["--role-arn=$(ROLE)"]`), sidecar: true},
		{name: "the last of two flags counts", label: "true", spec: nativeSidecar(`, args: ["--role-arn=` + roleB + `", "--role-arn=` + roleA + `"]`), sidecar: true},
		{name: "the last of two variables counts", label: "true", spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, {name: AWS_ROLE_ARN, value: ""}]`), refused: []string{"the sidecar has no role"}},
		{name: "EKS Pod Identity in place of a role", label: "true", spec: nativeSidecar(`, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://169.254.170.23/v1/credentials"}]`), sidecar: true},
		{name: "neither role nor agent", label: "true", spec: nativeSidecar(`, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: ""}]`), refused: []string{"the sidecar has no role"}},
		{name: "role by envFrom", label: "true", spec: nativeSidecar(`, envFrom: [{configMapRef: {name: r}}]`), sidecar: true},
		{name: "default port of a sidecar that uses another", label: "true", sidecar: true, containers: clientContainer + ", ports: [{containerPort: 9911}]}",
			spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, {name: SIDECAR_LISTEN, value: "127.0.0.1:9999"}]`)},
		{name: "no container uses the sidecar", label: "true", containers: "{name: app, image: none, env: null}", spec: nativeSidecar(roleEnv), refused: []string{"no container has a value for the variable AWS_CONTAINER_CREDENTIALS_FULL_URI", "set it to http://127.0.0.1:9911/v1/credentials"}},
		{name: "empty URI", label: "true", containers: `{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: ""}]}`, spec: nativeSidecar(roleEnv), refused: []string{"no container has a value for the variable AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{name: "URI by reference", label: "true", containers: `{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, valueFrom: {configMapKeyRef: {name: r, key: r}}}]}`, spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "relative URI without the ECS endpoint", label: "true", containers: relativeContainer, spec: nativeSidecar(roleEnv), refused: []string{"no container has a value for the variable AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{name: "envFrom may set the URI", label: "true", containers: "{name: app, image: none, envFrom: [{configMapRef: {name: r}}]}", spec: nativeSidecar(roleEnv), sidecar: true},
		{name: "token mounted with subPath", label: "true", spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t/token, subPath: token}]`), refused: []string{"the sidecar mounts the token with subPath, so it would never see a new token", "mount the volume without subPath"}},
		{name: "token of another audience, mounted with subPath", label: "true", spec: tokenVolume("sts.amazonaws.com.cn") + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t/token, subPath: token}]`), refused: []string{"the sidecar mounts the token with subPath"}},
		{name: "token of another audience, mounted in another container", label: "true", containers: `{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}], volumeMounts: [{name: token, mountPath: /t}]}`,
			spec: tokenVolume("sts.amazonaws.com.cn") + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t}]`), refused: []string{"a token for STS or EKS Pod Identity is mounted in container app"}},
		{name: "token of an audience that is not the sidecar's", label: "true", containers: `{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}], volumeMounts: [{name: token, mountPath: /t}]}`,
			spec: tokenVolume("vault") + nativeSidecar(roleEnv), sidecar: true},
		{name: "token mounted in the sidecar only", label: "true", sidecar: true, spec: `
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]` + nativeSidecar(roleEnv+`, volumeMounts: [{name: token, mountPath: /t}]`)},
	})
}
