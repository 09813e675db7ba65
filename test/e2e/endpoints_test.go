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

	// withEndpoints is the metadata of pods that get the sidecar with both endpoints.
	withEndpoints = `labels: {app: example, irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/endpoints: "ecs,imds"}`

	// netAdmin is the securityContext of irsa-sidecar-link-local.
	netAdmin = `{runAsUser: 0, runAsNonRoot: false, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_ADMIN]}, seccompProfile: {type: RuntimeDefault}}`

	// podSecurityMessage is part of the pod security refusal quoted in docs/endpoints.md.
	podSecurityMessage = `container "irsa-sidecar-link-local" must not include "NET_ADMIN" in securityContext.capabilities.add`
)

// exec runs a command in the pod's container app.
func (n *namespace) exec(pod string, command ...string) (string, error) {
	return n.tryKubectl("", append([]string{"exec", pod, "-c", "app", "--"}, command...)...)
}

// checkEndpoints checks that the SDK of 2019 gets the pod's role from each endpoint when
// the variables of the others are unset.
func (n *namespace) checkEndpoints(pod string) {
	n.Helper()
	const full, relative = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	want := "arn:aws:sts::111122223333:assumed-role/" + n.name + "/" + pod
	for _, endpoint := range []struct{ name, without string }{
		{"the ECS endpoint", full},
		{"the instance metadata endpoint", full + "," + relative},
	} {
		out, err := n.exec(pod, "/client", "-without", endpoint.without, "-every", "1s", "-times", "1", n.url)
		var id identity
		if err := errors.Join(err, json.Unmarshal([]byte(out), &id)); err != nil || id.ARN != want {
			n.Errorf("%s: the program is %+v, %v, want %s", endpoint.name, id, err, want)
			continue
		}
		n.Logf("proved: %s: without %s, the program is %s", endpoint.name, endpoint.without, id.ARN)
	}
	for _, page := range []struct{ path, want string }{
		{"/latest/meta-data/iam/security-credentials/", "200 " + n.name},
		{"/latest/meta-data/placement/region", "200 eu-west-1"},
	} {
		if got, err := n.exec(pod, "/probe", "http://"+metadataAddress+page.path); err != nil || strings.TrimSpace(got) != page.want {
			n.Errorf("%s is %q, %v, want %q", page.path, got, err, page.want)
		}
	}
}

// The endpoints work, also when another container adds the addresses again and after the
// sidecar is killed.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", privileged) // the guard refuses the sidecar's user for the application
	n.trust()
	again := fmt.Sprintf("initContainers: [{name: again, image: %q, args: [link-local], securityContext: %s}]", shared.image, netAdmin)
	n.apply(n.serviceAccount() + strings.NewReplacer(
		"containers:", again+"\n      containers:",
		"serviceAccountName:", "shareProcessNamespace: true\n      serviceAccountName:",
		"runAsUser: 1000", "runAsUser: 9911").Replace(n.deployment(withEndpoints)))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	n.checkEndpoints(p.Metadata.Name)
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
	n.checkEndpoints(p.Metadata.Name)
	t.Log("proved: the addresses may be added twice, and a killed sidecar serves its endpoints again")
}

// When the pod's sandbox dies, its network is recreated, and so are the addresses.
func TestEndpointsInNewSandbox(t *testing.T) {
	t.Parallel()
	needNode(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(withEndpoints))
	p := n.awaitRunning("app=example")
	n.checkEndpoints(p.Metadata.Name)
	killProcess(t, p.Metadata.UID, "pause") // of its sandbox
	p = n.awaitPod("app=example", 2*time.Minute, func(p *pod) error {
		if c := p.container("app"); c.RestartCount == 0 || c.State.Running == nil {
			return fmt.Errorf("container app: %+v", c)
		}
		return nil
	})
	if c := p.container("irsa-sidecar-link-local"); c.RestartCount == 0 {
		t.Errorf("link-local has not run again: %+v", c)
	}
	n.checkEndpoints(p.Metadata.Name)
	t.Log("proved: in a new sandbox link-local has run again, and the endpoints work")
}

// killProcess kills a process of a pod by the end of its command line.
func killProcess(t testing.TB, uid, name string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		command, _ := os.ReadFile(line) // the process may have exited
		groups, _ := os.ReadFile(filepath.Join(filepath.Dir(line), "cgroup"))
		if !strings.HasSuffix(string(command), name+"\x00") || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), uid) {
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
	t.Fatalf("pod %s has no process %s", uid, name)
}

// Pod security refuses the pod at every level except privileged, with the documented
// message.
func TestEndpointsAndPodSecurity(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "endpoints.md"))
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(string(document)), " "); !strings.Contains(text, podSecurityMessage) {
		t.Errorf("docs/endpoints.md does not contain: %s", podSecurityMessage)
	}
	for _, level := range []string{"baseline", "restricted"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, "inject", "guard", privileged)
			n.apply(n.serviceAccount())
			n.kubectl("label", "namespace", n.name, "pod-security.kubernetes.io/enforce="+level)
			pod := func(endpoints string) string {
				return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/endpoints: %q}}
spec: {serviceAccountName: example, containers: [{name: app, image: none, securityContext: %s}]}`, endpoints, restricted)
			}
			until(t, 30*time.Second, func() error {
				_, err := n.dryRun(pod("ecs,imds"))
				message := refusal(err)
				if !strings.Contains(message, fmt.Sprintf("violates PodSecurity %q", level+":latest")) || !strings.Contains(message, podSecurityMessage) {
					return fmt.Errorf("the refusal is %q, %v", message, err)
				}
				t.Logf("proved: %s", message)
				return nil
			})
			if _, err := n.dryRun(pod("")); err != nil {
				t.Errorf("without endpoints: %v", err)
			}
		})
	}
}
