//go:build e2e

package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const hooked = `labels: {app: example, irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/startup: hook}`

// With the hook in place of the startup probe the application starts once there are
// credentials too. Until then the last state of the sidecar says why there are none.
func TestHook(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount() + n.deployment(hooked))
	want := `Last State: +Terminated\s+Reason: +Completed\s+Message: +sidecar: exited without credentials: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity`
	t.Logf("proved: kubectl describe pod says: %s", n.awaitDescription(want))
	p := n.awaitPod("app=example", time.Minute, func(*pod) error { return nil })
	if app := p.container("app"); app.State.Waiting == nil || app.State.Waiting.Reason != "PodInitializing" {
		t.Errorf("without credentials the application is %+v", app.State)
	}
	n.trust()
	p = n.awaitPod("app=example", 3*time.Minute, func(p *pod) error { // the back-off of the kubelet
		if p.container("app").State.Running == nil {
			return fmt.Errorf("the application is %+v, the sidecar %+v", p.container("app"), p.container("irsa-sidecar"))
		}
		return nil
	})
	n.awaitIdentity(p.Metadata.Name)
	for _, c := range list(p.Spec, "initContainers") {
		if c["startupProbe"] != nil || c["lifecycle"] == nil {
			t.Errorf("%s has a startup probe or no hook: %s", c["name"], pretty(c))
		}
	}
}

// The kubelet deletes no pod while a hook runs, and sends it no signal. The hook of the sidecar
// waits for seconds, whatever the pod's grace period.
func TestDeletionDuringHook(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.sts.Always(standin.Hang())
	n.apply(n.serviceAccount() + strings.Replace(n.deployment(hooked), "terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 600", 1))
	p := n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if len(n.sts.Requests()) == 0 || p.container("irsa-sidecar").RestartCount > 0 {
			return errors.New("the hook does not wait for STS")
		}
		return nil
	})
	start := time.Now()
	n.kubectl("delete", "deployment", "example", "--wait=false")
	until(t, 30*time.Second, func() error {
		if pods := n.kubectl("get", "pods", "-o", "name"); pods != "" {
			return fmt.Errorf("still there: %s", pods)
		}
		return nil
	})
	t.Logf("proved: pod %s, whose hook waited for an STS that never answers, was gone %s after its deletion; its grace period is 600 s", p.Metadata.Name, time.Since(start).Round(time.Second))
}

// A Job whose sidecar is killed before it has credentials completes, also with Kubernetes 1.32,
// where with the startup probe the kubelet may never look at the sidecar again if the
// application has a probe too.
func TestJobWhoseSidecarRestarts(t *testing.T) {
	t.Parallel()
	needNode(t)
	n := newNamespace(t, "guard")
	n.apply(n.serviceAccount())
	n.applyJob("hook")
	p := n.killSidecar()
	n.trust()
	n.kubectl("wait", "--for=condition=Complete", "job/example", "--timeout=180s")
	n.awaitIdentity(p.Metadata.Name)
	t.Log("proved: with the hook a pod that is never restarted survives the end of its sidecar")
}

// applyJob applies a Job with the sidecar of the Component.
func (n *namespace) applyJob(startup string) {
	n.Helper()
	n.applyDeploy(fmt.Sprintf(`
resources: [settings.yaml, job.yaml]
components: [../../component]
patches:
  - target: {kind: Job}
    patch: |
      apiVersion: batch/v1
      kind: Job
      metadata: {name: any}
      spec: {template: {spec: {initContainers: [{name: irsa-sidecar, env: [{name: AWS_ENDPOINT_URL_STS, value: %q}]}]}}}
`, n.url), map[string]string{
		"settings.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: irsa-sidecar}\ndata: {image: %q, region: eu-west-1, role: %q, startup: %s}\n", shared.image, n.role, startup),
		"job.yaml": fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: example, labels: {irsa-sidecar/inject: "true"}}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: example, irsa-sidecar/inject: "true"}}
    spec:
      restartPolicy: Never
      serviceAccountName: example
      containers:
        - name: app
          image: %q
          args: [-every, 1s, -times, "3", %q]
          env: [{name: AWS_REGION, value: eu-west-1}]
          readinessProbe: {tcpSocket: {port: 9912}}
          securityContext: %s
`, shared.appImage, n.url, restricted)})
}

// killSidecar kills the sidecar of the Job while it has no credentials.
func (n *namespace) killSidecar() *pod {
	n.Helper()
	p := n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if len(n.sts.Requests()) == 0 { // the API server sees nothing of a pod whose hook runs
			return errors.New("the sidecar has not asked STS yet")
		}
		return nil
	})
	killProcess(n.TB, p.Metadata.UID, "/sidecar")
	return p
}

// BenchmarkStart measures how long a pod takes from its creation until it is ready: alone,
// with a token of its own, and with the sidecar. docs/performance.md shows the result of
//
//	test/e2e/run IMAGE APP_IMAGE -run '^$' -bench Start -benchtime 12x
func BenchmarkStart(b *testing.B) {
	const inject = `irsa-sidecar/inject: "true"`
	for _, bb := range []struct{ name, labels, annotations, volumes, mounts string }{
		{name: "alone"},
		{name: "token", volumes: `[{name: token, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}}]`, mounts: "[{name: token, mountPath: /token}]"},
		{name: "probe", labels: inject},
		{name: "hook", labels: inject, annotations: "irsa-sidecar/startup: hook"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			n := newNamespace(b, "inject")
			n.trust()
			n.apply(n.serviceAccount())
			var took []time.Duration
			for b.Loop() {
				name := fmt.Sprintf("pod-%d", len(took))
				took = append(took, n.startTime(name, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {%s}, annotations: {%s}}
spec:
  serviceAccountName: example
  automountServiceAccountToken: false
  volumes: %s
  containers: [{name: app, image: %q, args: [-every, 1h, %q], env: [{name: AWS_REGION, value: eu-west-1}], volumeMounts: %s, securityContext: %s}]
`, name, bb.labels, bb.annotations, cmp.Or(bb.volumes, "[]"), shared.appImage, n.url, cmp.Or(bb.mounts, "[]"), restricted)))
				n.kubectl("delete", "pod", name, "--grace-period=1")
			}
			slices.Sort(took)
			for name, d := range map[string]time.Duration{"min-s": took[0], "median-s": took[len(took)/2], "max-s": took[len(took)-1]} {
				b.ReportMetric(d.Seconds(), name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// startTime creates a pod and returns after how long it is ready.
func (n *namespace) startTime(name, manifest string) time.Duration {
	n.Helper()
	watch, err := http.Get(shared.api + "/api/v1/namespaces/" + n.name + "/pods?watch=true&timeoutSeconds=120&fieldSelector=metadata.name=" + name)
	if err != nil {
		n.Fatal(err)
	}
	defer watch.Body.Close()
	start := time.Now()
	if _, err := n.post("", manifest); err != nil {
		n.Fatal(err)
	}
	for lines := bufio.NewReader(watch.Body); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			n.Fatalf("pod %s is not ready: %v", name, err)
		}
		var event struct {
			Object struct {
				Status struct {
					Conditions []struct{ Type, Status string }
				}
			}
		}
		if err := json.Unmarshal(line, &event); err != nil {
			n.Fatal(err)
		}
		for _, c := range event.Object.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				return time.Since(start)
			}
		}
	}
}
