//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// overlay returns a kustomization of an example with the old SDK's client as application.
func (n *namespace) overlay(example, args string) string {
	linkLocal := ""
	if example == "endpoints" {
		linkLocal = "\n              - name: irsa-sidecar-link-local" // the patch decides the order
	}
	return fmt.Sprintf(`
resources: [../../examples/%s]
images:
  - {name: registry.example.com/your-application, newName: %q, newTag: %q}
patches:
  - target: {kind: Deployment|Job}
    patch: |
      apiVersion: any
      kind: any
      metadata: {name: any}
      spec:
        template:
          spec:
            initContainers:%s
              - name: irsa-sidecar
                env: [{name: AWS_ENDPOINT_URL_STS, value: %q}]
            containers:
              - name: app
                args: [%s]
`, example, imageName(shared.appImage), imageTag(shared.appImage), linkLocal, n.url, args)
}

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, example := range []string{"with-webhook", "without-webhook", "capability-path", "authorization-token", "endpoints"} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			parts := []string{"guard"}
			if example == "endpoints" {
				parts = append(parts, privileged)
			}
			n := newNamespace(t, parts...)
			n.trust()
			if example == "authorization-token" {
				n.kubectl("create", "secret", "generic", "irsa-sidecar", "--from-literal=token=canary")
			}
			n.applyDeploy(n.overlay(example, fmt.Sprintf("-every, 1s, %q", n.url)), nil)
			p := n.awaitRunning("app=example")
			n.awaitIdentity(p.Metadata.Name)
			n.checkRequests(p)
			n.checkIsHealthy(p.Metadata.Name, "ok    identity    arn:aws:sts::111122223333:assumed-role/"+n.name+"/")
			if example == "endpoints" {
				n.checkEndpoints(p.Metadata.Name)
			}
		})
	}
}

// A Job completes, although its sidecar never exits on its own.
func TestJob(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard")
	n.trust()
	n.applyDeploy(n.overlay("job", fmt.Sprintf(`-every, 1s, -times, "3", %q`, n.url)), nil)
	n.kubectl("wait", "--for=condition=Complete", "job/example", "--timeout=60s")
	p := n.awaitPod("job-name=example", 10*time.Second, func(p *pod) error { return nil })
	n.awaitIdentity(p.Metadata.Name)
	if end := p.container("irsa-sidecar").State.Terminated; end == nil || end.ExitCode != 0 {
		t.Errorf("the sidecar of the Job: %+v, want exit status 0", p.container("irsa-sidecar").State)
	}
	t.Log("proved: the Job is complete, and its sidecar has exited with status 0")
}

// With deploy/inject a workload needs only a label, and its service account a role.
func TestInjected(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(`labels: {app: example, irsa-sidecar/inject: "true"}`))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	n.checkRequests(p)
}

// Settings of the sidecar come from the pod's annotations.
func TestSettingsByAnnotation(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(injected+`, annotations: {irsa-sidecar/duration: 30m, irsa-sidecar/session-policy-arns: "arn:aws:iam::aws:policy/ReadOnlyAccess"}`))
	n.awaitIdentity(n.awaitRunning("app=example").Metadata.Name)
	form := n.sts.Requests()[0].Form
	if got, want := form.Get("DurationSeconds"), "1800"; got != want {
		t.Errorf("the session lasts %s s, want %s", got, want)
	}
	if got, want := form.Get("PolicyArns.member.1.arn"), "arn:aws:iam::aws:policy/ReadOnlyAccess"; got != want {
		t.Errorf("the session's policy is %q, want %q", got, want)
	}
}

func (n *namespace) serviceAccount() string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: example, annotations: {eks.amazonaws.com/role-arn: %q}}
---`, n.role)
}

// deployment returns a Deployment of the old SDK's client whose pods have that metadata.
func (n *namespace) deployment(metadata string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: example}
spec:
  selector: {matchLabels: {app: example}}
  template:
    metadata: {%s}
    spec:
      serviceAccountName: example
      terminationGracePeriodSeconds: 20
      containers:
        - name: app
          image: %q
          args: [-every, 1s, -drain, 5s, %q]
          env: [{name: AWS_REGION, value: eu-west-1}]
          securityContext: %s
`, metadata, shared.appImage, n.url, restricted)
}

// restricted is a container's securityContext that meets the restricted pod security
// standard.
const restricted = `{runAsUser: 1000, runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}`

// checkRequests checks that STS got one request, with the kubelet's token for the pod.
func (n *namespace) checkRequests(p *pod) {
	n.Helper()
	requests := n.sts.Requests()
	if len(requests) != 1 {
		n.Fatalf("%d requests to STS, want 1", len(requests))
	}
	for _, r := range requests {
		want := "system:serviceaccount:" + n.name + ":example"
		if r.Outcome != "" || r.Claims == nil || r.Claims.Issuer != shared.issuer || r.Claims.Subject != want || !r.Claims.Audience.Contains("sts.amazonaws.com") {
			n.Errorf("STS answered %q to a token with %+v, want success and subject %s", r.Outcome, r.Claims, want)
			continue
		}
		n.Logf("proved: STS has verified a token of %s for %s with the keys that the cluster publishes; it is valid for %s",
			r.Claims.Issuer, r.Claims.Subject, r.Claims.Expiry.Time().Sub(r.Claims.IssuedAt.Time()))
	}
	if got := requests[0].Form.Get("RoleSessionName"); got != p.Metadata.Name {
		n.Errorf("the session is named %q, want the pod's name %q", got, p.Metadata.Name)
	}
}
