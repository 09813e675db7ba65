//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// namespace is a test's own namespace and STS.
type namespace struct {
	testing.TB
	name string
	sts  *standin.STS
	url  string // of sts, as pods reach it
	role string // trusts the service account example
}

// privileged, as an argument of newNamespace, makes the namespace enforce no pod security
// standard.
const privileged = "privileged"

// newNamespace creates a namespace that enforces the restricted pod security standard.
// The parts of deploy named by parts (inject, guard) apply to it.
func newNamespace(t testing.TB, parts ...string) *namespace {
	t.Helper()
	if slices.Contains(parts, "inject") && !shared.injects() {
		t.Skip("NOT RUN: deploy/inject needs Kubernetes 1.36")
	}
	n := &namespace{TB: t, name: "irsa-" + strings.ToLower(rand.Text()[:8]), sts: standin.NewSTS()}
	n.role = "arn:aws:iam::111122223333:role/" + n.name
	n.sts.AddProvider(shared.issuer, &http.Client{Transport: discovery{}})
	n.url = serve(t, n.sts)
	labels := map[string]string{ours: "true"}
	for _, part := range parts {
		labels[ours+"/"+part] = "true"
	}
	if !slices.Contains(parts, privileged) {
		labels["pod-security.kubernetes.io/enforce"] = "restricted"
	}
	n.create(map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": n.name, "labels": labels, "annotations": map[string]string{ours + "/sts": n.url}},
	})
	t.Cleanup(func() {
		if t.Failed() {
			n.logState()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := kubectl(ctx, "", "delete", "namespace", n.name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	// The controller-manager, if there is one, creates it too.
	_, err := n.tryKubectl("", "create", "serviceaccount", "default")
	if err != nil && !strings.Contains(refusal(err), "already exists") {
		t.Fatal(err)
	}
	n.awaitPolicies(parts)
	return n
}

// trust lets the role be assumed by the service account example.
func (n *namespace) trust() {
	n.sts.AddRole(standin.Role{ARN: n.role, Namespace: n.name, ServiceAccount: "example"})
}

// awaitPolicies waits until the API server applies the parts to the namespace.
func (n *namespace) awaitPolicies(parts []string) {
	n.Helper()
	for _, part := range parts {
		var label, sign string
		switch part {
		case "inject", "inject-node":
			label, sign = "true", "sidecar" // the container, or the guard's message about it
		case "guard":
			label, sign = "probe", `irsa-sidecar/inject is "probe"`
		default:
			continue
		}
		until(n.TB, 30*time.Second, func() error {
			answer, err := n.dryRun(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: probe, labels: {irsa-sidecar/inject: %q}}
spec: {containers: [{name: app, image: none, securityContext: %s}]}`, label, restricted))
			if response := answer.object + refusal(err); !strings.Contains(response, sign) {
				return fmt.Errorf("%s is not in force yet: %s", part, response)
			}
			return nil
		})
	}
}

// serve serves on an address that pods reach, until the test ends.
func serve(t testing.TB, handler http.Handler) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(shared.address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return "http://" + ln.Addr().String()
}

// discovery is a RoundTripper that fetches an issuer's discovery documents through the API
// server: some clusters do not allow anonymous reads, and the issuer's address may not be
// reachable from here.
type discovery struct{}

func (discovery) RoundTrip(r *http.Request) (*http.Response, error) {
	path := "/openid/v1/jwks"
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		path = "/.well-known/openid-configuration"
	}
	body, err := kubectl(r.Context(), "", "get", "--raw", path)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// kubectl runs kubectl in the namespace and fails the test if kubectl fails.
func (n *namespace) kubectl(args ...string) string {
	n.Helper()
	out, err := n.tryKubectl("", args...)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

func (n *namespace) tryKubectl(stdin string, args ...string) (string, error) {
	return kubectl(n.Context(), stdin, append([]string{"-n", n.name}, args...)...)
}

// apply applies manifests.
func (n *namespace) apply(manifests string) {
	n.Helper()
	if _, err := n.tryKubectl(manifests, "apply", "-f", "-"); err != nil {
		n.Fatal(err)
	}
}

func (n *namespace) create(object any) {
	n.Helper()
	b, err := json.Marshal(object)
	if err != nil {
		n.Fatal(err)
	}
	if _, err := kubectl(n.Context(), string(b), "create", "-f", "-"); err != nil {
		n.Fatal(err)
	}
}

// applyDeploy applies a kustomization in a copy of deploy where the examples have the
// namespace's role and the sidecar image of the tests.
func (n *namespace) applyDeploy(kustomization string, files map[string]string) {
	n.Helper()
	deploy := filepath.Join(n.TempDir(), "deploy")
	if err := os.CopyFS(deploy, os.DirFS(shared.deploy)); err != nil {
		n.Fatal(err)
	}
	settings := filepath.Join(deploy, "examples", "settings", "irsa-sidecar.yaml")
	err := errors.Join(
		replaceOnce(settings, "registry.example.com/irsa-sidecar:v0.1.0", shared.image),
		replaceOnce(settings, "arn:aws:iam::111122223333:role/example", n.role))
	if err != nil {
		n.Fatal(err)
	}
	if err := applyKustomization(n.Context(), n.name, filepath.Join(deploy, ours, n.name), kustomization, files); err != nil {
		n.Fatal(err)
	}
}

// awaitPod waits for a pod with the label that meets the condition.
func (n *namespace) awaitPod(label string, limit time.Duration, condition func(*pod) error) *pod {
	n.Helper()
	var found *pod
	until(n.TB, limit, func() error {
		var list struct{ Items []*pod }
		if err := kubectlJSON(n.Context(), &list, "-n", n.name, "get", "pods", "-l", label, "-o", "json"); err != nil {
			return err
		}
		if len(list.Items) == 0 {
			return fmt.Errorf("no pod with label %s", label)
		}
		found = list.Items[0]
		return condition(found)
	})
	return found
}

// awaitRunning waits until the pod's container app is running.
func (n *namespace) awaitRunning(label string) *pod {
	n.Helper()
	return n.awaitPod(label, time.Minute, func(p *pod) error {
		if c := p.container("app"); c.State.Running == nil {
			return fmt.Errorf("container app of pod %s: %+v", p.Metadata.Name, c.State)
		}
		return nil
	})
}

// identity is what the application prints.
type identity struct{ ARN, Error, Signal string }

// identities returns the output of the pod's container app.
func (n *namespace) identities(pod string) (ids []identity, err error) {
	out, err := n.tryKubectl("", "logs", pod, "-c", "app")
	if err != nil {
		return nil, err
	}
	return parseIdentities(out)
}

func parseIdentities(out string) (ids []identity, err error) {
	lines := json.NewDecoder(bytes.NewBufferString(out))
	for {
		var id identity
		if err := lines.Decode(&id); errors.Is(err, io.EOF) {
			return ids, nil
		} else if err != nil {
			return nil, fmt.Errorf("the application printed %q", out)
		}
		ids = append(ids, id)
	}
}

// awaitIdentity waits until the application has printed its identity. It fails the test
// if the application ever had another identity or got an error.
func (n *namespace) awaitIdentity(pod string) {
	n.Helper()
	want := "arn:aws:sts::111122223333:assumed-role/" + n.name + "/" + pod
	until(n.TB, time.Minute, func() error {
		ids, err := n.identities(pod)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fmt.Errorf("the application of pod %s has printed nothing yet", pod)
		}
		for _, id := range ids {
			if id.ARN != want {
				n.Fatalf("the application is %+v, want %s", id, want)
			}
		}
		return nil
	})
	n.Logf("proved: the program with an SDK of 2019 is %s", want)
}

// logState logs what helps to debug a failure.
func (n *namespace) logState() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"get", "pods,replicasets,jobs"}, {"describe", "pods"}, {"get", "events"}, {"logs", "-l", ours, "-c", "irsa-sidecar", "--tail=30"}} {
		out, err := kubectl(ctx, "", append([]string{"-n", n.name}, args...)...)
		n.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, r := range n.sts.Requests() {
		n.Logf("STS: %s %q %v", r.Time.Format(time.TimeOnly), r.Outcome, r.Claims)
	}
}
