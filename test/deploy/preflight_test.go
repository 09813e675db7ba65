package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kubectl as on an old EKS cluster with a node of each kind, for whoever may not read quotas.
// What it prints for the templates of deploy/preflight is tested on a real cluster.
const oldCluster = `#!/bin/sh
case "$*" in
*/version) echo '{"major": "1", "minor": "32+", "gitVersion": "v1.32.9-eks-0"}' ;;
*admissionregistration*) echo '{"resources":[{"name":"validatingadmissionpolicies"}]}' ;;
"get nodes "*) printf 'old\tv1.28.5\tlinux\t\nwin\tv1.32.9\twindows\t\nserverless\tv1.32.9\tlinux\tfargate\nnew\tv1.32.9\tlinux\t\n' ;;
"get mutatingwebhookconfigurations "*) printf 'webhook b\nwebhook b\n'
  echo 'webhook pod-identity-webhook/old: Ignore; namespaces map[]; pods map[]'
  echo 'webhook pod-identity-webhook/new: Ignore; namespaces map[]; pods map[matchExpressions:[map[key:eks.amazonaws.com/skip-pod-identity-webhook operator:DoesNotExist]]]' ;;
"get namespaces "*) printf 'open\nclosed\nothers\n' ;;
"create --dry-run=server -n open "*) cat >/dev/null; printf 'map[limits:map[memory:64Mi] requests:map[cpu:10m memory:32Mi]]' ;;
"create --dry-run=server -n closed "*) grep -q 'image: mirror.example.com/sidecar:1' && echo 'Error from server (Forbidden): no reason' >&2; exit 1 ;;
"create --dry-run=server -n others "*) cat >/dev/null; echo 'Error from server (Forbidden): pods is forbidden: User "dev" cannot create resource "pods" in API group ""' >&2; exit 1 ;;
"get resourcequotas "*) echo 'Error from server (Forbidden): quotas are not for you' >&2; exit 1 ;;
esac
`

// The script knows the resources of the sidecar, as kubectl prints them.
func TestPreflightResources(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, "preflight", "preflight"))
	if err != nil {
		t.Fatal(err)
	}
	r := example(t, "without-webhook").Spec.InitContainers[0].Resources
	want := fmt.Sprintf("map[limits:map[memory:%s] requests:map[cpu:%s memory:%s]]", r.Limits.Memory(), r.Requests.Cpu(), r.Requests.Memory())
	if len(r.Limits) != 1 || len(r.Requests) != 2 || !strings.Contains(string(script), "'"+want+"'") {
		t.Errorf("the sidecar's resources are %v: write them in deploy/preflight/preflight, as %s", r, want)
	}
}

// What cannot be seen is said, and is an error.
func TestPreflight(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(oldCluster), 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(root, "preflight", "preflight"), "--image", "mirror.example.com/sidecar:1")
	command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	output, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("exit status: %v, want 1", err)
	}
	want := strings.TrimSpace(`
== cluster
Kubernetes v1.32.9-eks-0
native sidecars: yes
guard: yes
inject: no
node old: kubelet v1.28.5 is too old for native sidecars
node win: Windows
node serverless: Fargate
webhook b
webhook pod-identity-webhook/new: Ignore; namespaces map[]; pods map[matchExpressions:[map[key:eks.amazonaws.com/skip-pod-identity-webhook operator:DoesNotExist]]]
webhook pod-identity-webhook/old: Ignore; namespaces map[]; pods map[]; acts on pods with the sidecar

== namespaces
open: ok
closed: pod: refused: no reason
not seen: kubectl create: Error from server (Forbidden): pods is forbidden: User "dev" cannot create resource "pods" in API group ""
not seen: kubectl get resourcequotas: Error from server (Forbidden): quotas are not for you

== workloads`)
	if got := strings.TrimSpace(string(output)); got != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}
