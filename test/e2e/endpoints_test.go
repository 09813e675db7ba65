//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	ecsAddress      = "169.254.170.2"
	metadataAddress = "169.254.169.254"

	// withDoors is what the pods of a deployment say to be given doors.
	withDoors = `labels: {app: example, irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/endpoints: "ecs,imds"}`

	// netAdmin is the securityContext of link-local.
	netAdmin = `{runAsUser: 0, runAsNonRoot: false, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_ADMIN]}, seccompProfile: {type: RuntimeDefault}}`

	// tooPrivileged is what pod security says of link-local, as in deploy/README.md.
	tooPrivileged = `container "irsa-sidecar-link-local" must not include "NET_ADMIN" in securityContext.capabilities.add`
)

// ask runs a program in the container app of a pod.
func (n *namespace) ask(pod string, command ...string) (string, error) {
	return n.tryKubectl("", append([]string{"exec", pod, "-c", "app", "--"}, command...)...)
}

// checkDoors checks that the program of 2019 gets the pod's role at each door, as far
// as it is led there by nothing but what it would do by itself.
func (n *namespace) checkDoors(pod string) {
	n.Helper()
	const full, relative = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	want := "arn:aws:sts::111122223333:assumed-role/" + n.name + "/" + pod
	for _, door := range []struct{ name, without string }{
		{"the relative URI", full},
		{"the metadata address", full + "," + relative},
	} {
		out, err := n.ask(pod, "/client", "-without", door.without, "-every", "1s", "-times", "1", n.url)
		var id identity
		if err := errors.Join(err, json.Unmarshal([]byte(out), &id)); err != nil || id.ARN != want {
			n.Errorf("at %s the program is %+v, %v, want %s", door.name, id, err, want)
			continue
		}
		n.Logf("proved: at %s, without %s, the program is %s", door.name, door.without, id.ARN)
	}
	for _, page := range []struct{ path, want string }{
		{"/latest/meta-data/iam/security-credentials/", "200 " + n.name},
		{"/latest/meta-data/placement/region", "200 eu-west-1"},
	} {
		if got, err := n.ask(pod, "/probe", "http://"+metadataAddress+page.path); err != nil || strings.TrimSpace(got) != page.want {
			n.Errorf("%s is %q, %v, want %q", page.path, got, err, page.want)
		}
	}
}

// A pod with doors: its addresses are added a second time while all of it runs, and
// the sidecar is killed.
func TestDoors(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	again := fmt.Sprintf("initContainers: [{name: again, image: %q, args: [link-local], securityContext: %s}]", shared.image, netAdmin)
	n.apply(n.serviceAccount() + strings.NewReplacer(
		"containers:", again+"\n      containers:",
		"serviceAccountName:", "shareProcessNamespace: true\n      serviceAccountName:",
		"runAsUser: 1000", "runAsUser: 9911").Replace(n.deployment(withDoors)))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	n.checkDoors(p.Metadata.Name)
	for _, name := range []string{"irsa-sidecar-link-local", "again"} {
		if end := p.container(name).State.Terminated; end == nil || end.ExitCode != 0 || p.container(name).RestartCount != 0 {
			t.Errorf("%s: %+v", name, p.container(name))
		}
	}
	n.kubectl("exec", p.Metadata.Name, "-c", "app", "--", "/kill", "sidecar")
	p = n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if c := p.container("irsa-sidecar"); c.RestartCount == 0 || !c.Ready {
			return fmt.Errorf("the sidecar: %+v", c)
		}
		return nil
	})
	n.checkDoors(p.Metadata.Name)
	t.Log("proved: the addresses may be added twice, and a sidecar that was killed has its doors again")
}

// When the pod's sandbox dies, all of its network is made anew, and so are the
// addresses.
func TestDoorsOfANewSandbox(t *testing.T) {
	t.Parallel()
	needNode(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(withDoors))
	p := n.awaitRunning("app=example")
	n.checkDoors(p.Metadata.Name)
	killSandbox(t, p.Metadata.UID)
	p = n.awaitPod("app=example", 2*time.Minute, func(p *pod) error {
		if c := p.container("app"); c.RestartCount == 0 || c.State.Running == nil {
			return fmt.Errorf("container app: %+v", c)
		}
		return nil
	})
	if c := p.container("irsa-sidecar-link-local"); c.RestartCount == 0 {
		t.Errorf("link-local has not run again: %+v", c)
	}
	n.checkDoors(p.Metadata.Name)
	t.Log("proved: in a new sandbox link-local has run again, and the doors are there")
}

// killSandbox kills the process that holds a pod's namespaces.
func killSandbox(t *testing.T, uid string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		words, _ := os.ReadFile(line) // the process may have ended
		groups, _ := os.ReadFile(filepath.Join(filepath.Dir(line), "cgroup"))
		if !strings.Contains(string(words), "pause") || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), uid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err != nil {
			t.Fatal(err)
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no sandbox of pod %s", uid)
}

// Pod security refuses the pod at every level but privileged, and says what for.
func TestDoorsAndPodSecurity(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(shared.deploy, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(strings.Fields(string(readme)), " "); !strings.Contains(said, tooPrivileged) {
		t.Errorf("deploy/README.md does not say: %s", tooPrivileged)
	}
	for _, level := range []string{"baseline", "restricted"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, "inject", "guard", privileged)
			n.apply(n.serviceAccount())
			n.kubectl("label", "namespace", n.name, "pod-security.kubernetes.io/enforce="+level)
			pod := func(doors string) string {
				return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/endpoints: %q}}
spec: {serviceAccountName: example, containers: [{name: app, image: none, securityContext: %s}]}`, doors, restricted)
			}
			until(t, 30*time.Second, func() error {
				_, err := n.dryRun(pod("ecs,imds"))
				said := refusal(err)
				if !strings.Contains(said, fmt.Sprintf("violates PodSecurity %q", level+":latest")) || !strings.Contains(said, tooPrivileged) {
					return fmt.Errorf("the refusal is %q, %v", said, err)
				}
				t.Logf("proved: %s", said)
				return nil
			})
			if _, err := n.dryRun(pod("")); err != nil {
				t.Errorf("without doors: %v", err)
			}
		})
	}
}
