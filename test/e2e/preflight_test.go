//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deploy/preflight says what would refuse or change the sidecar, and which workloads get their
// credentials elsewhere. It prints no secret, and changes nothing.
func TestPreflight(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.apply(`
apiVersion: v1
kind: LimitRange
metadata: {name: defaults}
spec: {limits: [{type: Container, default: {cpu: 500m}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: pods}
spec: {hard: {pods: "20"}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {AWS_ACCESS_KEY_ID: canary, AWS_SECRET_ACCESS_KEY: canary, OTHER: canary}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: profile}
data: {AWS_PROFILE: canary}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: keys}
spec:
  selector: {matchLabels: {app: keys}}
  template:
    metadata: {labels: {app: keys}}
    spec:
      initContainers:
        - {name: setup, image: none, env: [{name: AWS_ACCESS_KEY_ID, valueFrom: {secretKeyRef: {name: keys, key: AWS_ACCESS_KEY_ID}}}], securityContext: ` + restricted + `}
      containers:
        - {name: value, image: none, env: [{name: AWS_ACCESS_KEY_ID, value: canary}], ports: [{containerPort: 80}], securityContext: ` + restricted + `}
        - {name: from, image: none, envFrom: [{secretRef: {name: keys}}, {configMapRef: {name: profile}}, {secretRef: {name: absent, optional: true}}], securityContext: ` + restricted + `}
        - {name: file, image: none, volumeMounts: [{name: aws, mountPath: /root/.aws}], ports: [{containerPort: 9911}, {containerPort: 9912, protocol: UDP}], securityContext: ` + restricted + `}
      volumes: [{name: aws, emptyDir: {}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: 0 3 * * *, suspend: true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, hostNetwork: true, containers: [{name: app, image: none, env: [{name: AWS_PROFILE, value: canary}]}]}}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}, annotations: {iam.amazonaws.com/role: a-role}}
    spec: {hostPID: true, nodeSelector: {kubernetes.io/os: windows}, containers: [{name: app, image: none, securityContext: {runAsUser: 9911}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: {containers: [{name: app, image: none, env: [{name: AWS_REGION, value: eu-west-1}, {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: canary}], securityContext: ` + restricted + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  initContainers: [{name: irsa-sidecar, image: none, restartPolicy: Always, ports: [{containerPort: 9912}], env: [{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: canary}], securityContext: ` + restricted + `}]
  containers: [{name: app, image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: canary}, {name: AWS_PROFILE, value: canary}], securityContext: ` + restricted + `}]
`)
	output, err := exec.CommandContext(t.Context(), filepath.Join(shared.deploy, "preflight", "preflight"), n.name).Output()
	if err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	if strings.Contains(string(output), "canary") {
		t.Errorf("it prints a value:\n%s", output)
	}
	if pods := n.kubectl("get", "pods", "-l", "irsa-sidecar/inject", "-o", "name"); pods != "" {
		t.Errorf("it leaves %s", pods)
	}
	cluster, rest, _ := strings.Cut(string(output), "\n== namespaces\n")
	namespaces, workloads, _ := strings.Cut(rest, "\n== workloads\n")
	inject := "no"
	if shared.injects() {
		inject = "yes"
	}
	for part, want := range map[string][]string{
		cluster: {"native sidecars: yes", "guard: yes", "inject: " + inject},
		namespaces: {
			n.name + ": pod: its resources become map[limits:map[cpu:500m memory:64Mi] requests:map[cpu:10m memory:32Mi]]",
			n.name + ": endpoints: refused: ", `must not include "NET_ADMIN"`,
			n.name + ": quota pods: pods ",
		},
	} {
		for _, line := range want {
			if !strings.Contains(part, line) {
				t.Errorf("want %q in\n%s", line, part)
			}
		}
	}
	want := []string{
		"CronJob/nightly: container app: AWS_PROFILE",
		"CronJob/nightly: hostNetwork",
		"DaemonSet/agent: Windows",
		"DaemonSet/agent: container app: user 9911",
		"DaemonSet/agent: hostPID",
		"DaemonSet/agent: kiam or kube2iam: role a-role",
		"Deployment/keys: container file: mounts /root/.aws",
		"Deployment/keys: container file: port 9911",
		"Deployment/keys: container from: AWS_ACCESS_KEY_ID (envFrom secret keys)",
		"Deployment/keys: container from: AWS_PROFILE (envFrom configmap profile)",
		"Deployment/keys: container setup: AWS_ACCESS_KEY_ID (Secret keys)",
		"Deployment/keys: container value: AWS_ACCESS_KEY_ID",
		"Deployment/keys: container value: port 80",
		"Pod/bare: container app: AWS_WEB_IDENTITY_TOKEN_FILE",
		"Pod/done: container app: AWS_PROFILE",
		"Pod/done: has the sidecar",
	}
	got := strings.Split(strings.TrimSpace(strings.ReplaceAll(workloads, n.name+" ", "")), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("of the workloads it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
