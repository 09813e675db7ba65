//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

const own = "irsa-sidecar-injector"

var (
	labelled   = shapes.Shape{Name: "labelled", Namespace: shapes.Namespace, Pod: podOf("example", asking)}
	byAccount  = shapes.Shape{Name: "by-account", Namespace: shapes.Namespace, Pod: podOf("asking", "")}
	unlabelled = shapes.Shape{Name: "unlabelled", Namespace: "default", Pod: podOf("default", "")}
	declining  = shapes.Shape{Name: "declining", Namespace: "default", Pod: podOf("default", `irsa-sidecar/inject: "false"`)}
)

const asking = `irsa-sidecar/inject: "true"`

func podOf(account, labels string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: example, labels: {%s}}, spec: {serviceAccountName: %s, containers: [{name: app, image: app}]}}", labels, account)
}

// The steps follow each other on one cluster.
func TestInjector(t *testing.T) {
	policies := strings.Contains(kubectl(t, "", "get", "--raw", "/apis/admissionregistration.k8s.io/v1"), `"mutatingadmissionpolicies"`)
	kubectl(t, shapes.Objects(), "apply", "-f", "-")
	step := func(name string, f func(*testing.T)) {
		if !t.Run(name, f) {
			t.FailNow()
		}
	}
	if policies {
		step("the policy alone", testPolicy)
	}
	step("starts without a Secret", testStart)
	step("same as the policy", testSame)
	if policies {
		step("the policy was first", testNothingInjected)
		return
	}
	step("a rolling restart refuses nothing", testRestart)
	step("a killed replica", testKill)
	step("the Secret is deleted", testSecretDeleted)
	step("the authority is removed", testAuthorityRemoved)
	step("all replicas are away", testAway)
	step("an address that does not answer", testSilence)
}

// testPolicy records what the policy makes of the shapes, or compares it with the record.
func testPolicy(t *testing.T) {
	golden := map[string]record{}
	for _, s := range shapes.All() {
		pod, refusal := create(s)
		if refusal != "" {
			t.Errorf("%s: %s", s.Name, refusal)
		}
		golden[s.Name] = record{Before: pod}
	}
	apply(t, fmt.Sprintf("configMapGenerator: [{name: irsa-sidecar, literals: [%q, region=eu-west-1]}]\ncomponents: [../deploy/inject]\n", "image="+shapes.Image))
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
	time.Sleep(2 * time.Second) // all bindings
	for _, s := range shapes.All() {
		pod, refusal := create(s)
		golden[s.Name] = record{golden[s.Name].Before, pod, refusal}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		writeGolden(t, golden)
		return
	}
	want := readGolden(t)
	for _, s := range shapes.All() {
		if canonical(t, golden[s.Name]) != canonical(t, want[s.Name]) {
			t.Errorf("%s: the policy no longer makes what is recorded: with UPDATE_GOLDEN=1 it is recorded again", s.Name)
		}
	}
}

// testStart applies deploy/injector, as documented.
func testStart(t *testing.T) {
	host, port, err := net.SplitHostPort(regexp.MustCompile(`https://([^"\s]+)`).FindStringSubmatch(kubectl(t, "", "config", "view", "--minify"))[1])
	if err != nil {
		t.Fatal(err)
	}
	// A cluster without kube-proxy has no address for kubernetes.default.
	apply(t, fmt.Sprintf(`
resources: [../deploy/injector]
images: [{name: registry.example.com/irsa-sidecar-injector, newName: %q, newTag: %q}]
configMapGenerator:
  - name: injector-settings
    namespace: irsa-sidecar-injector
    behavior: merge
    literals: [%q, region=eu-west-1]
patches:
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: KUBERNETES_SERVICE_HOST, value: %q}}
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: KUBERNETES_SERVICE_PORT, value: %q}}
`, imageName(), imageTag(), "image="+shapes.Image, host, port))
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	t.Cleanup(func() { logState(t) })
	kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=60s")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
	until(t, 30*time.Second, func() error { return hasSidecar(create(byAccount)) })
	if certificates := strings.Fields(kubectl(t, "", "get", "mutatingwebhookconfiguration", "irsa-sidecar", "-o", "jsonpath={.webhooks[*].clientConfig.caBundle}")); len(certificates) != 3 || certificates[0] != certificates[1] || certificates[0] != certificates[2] {
		t.Errorf("caBundle: %q", certificates)
	}
}

func testSame(t *testing.T) {
	kubectl(t, "", "delete", "-k", "../../deploy/guard") // it refuses some of the shapes
	until(t, 30*time.Second, func() error {
		_, refusal := create(shapes.Shape{Namespace: shapes.Namespace, Pod: podOf("without-role", asking)})
		if refusal != "" {
			return fmt.Errorf("%s", refusal)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	golden, equal := readGolden(t), 0
	for _, s := range shapes.All() {
		pod, refusal := create(s)
		if got, want := canonical(t, record{nil, pod, refusal}), canonical(t, record{nil, golden[s.Name].After, golden[s.Name].Refusal}); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", s.Name, got, want)
		} else {
			equal++
		}
	}
	t.Logf("%d of %d shapes are as the policy makes them on 1.37.2", equal, len(golden))
	logMetrics(t)
}

// testNothingInjected checks that the policy, which runs first, keeps the webhook from
// acting.
func testNothingInjected(t *testing.T) {
	// testStart has waited for a pod that the policy had injected already.
	if n := metric(t, `irsa_sidecar_injector_requests_total{result="injected"}`); n != 0 {
		t.Errorf("%v pods were injected by the webhook", n)
	}
	if n := metric(t, `irsa_sidecar_injector_requests_total{result="unchanged"}`); n == 0 {
		t.Error("the webhook was never called: nothing was tested")
	}
}

func testRestart(t *testing.T) {
	failures, count := load(func() {
		kubectl(t, "", "-n", own, "rollout", "restart", "deployment/"+own)
		kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=120s")
		time.Sleep(8 * time.Second) // the old ones drain
	})
	t.Logf("%d pods, %d failures", count, len(failures))
	if len(failures) > 0 || count < 20 {
		t.Errorf("%d pods, %d failures: %v", count, len(failures), failures)
	}
}

// testKill: the API server notices after a moment; a pod never passes without the sidecar.
func testKill(t *testing.T) {
	name := strings.Fields(kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	failures, count := load(func() {
		kubectl(t, "", "-n", own, "delete", "pod", name, "--grace-period=0", "--force")
		kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=90s")
	})
	for _, f := range failures {
		if !strings.HasPrefix(f.Error(), "500 ") {
			t.Errorf("not a refusal: %v", f)
		}
	}
	t.Logf("%d of %d pods refused", len(failures), count)
	until(t, 20*time.Second, func() error { return hasSidecar(create(labelled)) })
}

func testSecretDeleted(t *testing.T) {
	const authority = `jsonpath={.data.ca\.crt}`
	before := kubectl(t, "", "-n", own, "get", "secret", own, "-o", authority)
	failures, count := load(func() {
		kubectl(t, "", "-n", own, "delete", "secret", own)
		until(t, 30*time.Second, func() error {
			if got := kubectl(t, "", "-n", own, "get", "secret", own, "--ignore-not-found", "-o", authority); got != before {
				return fmt.Errorf("the authority is %q", got)
			}
			return nil
		})
	})
	if len(failures) > 0 || count < 5 {
		t.Errorf("%d pods, failures %v", count, failures)
	}
}

func testAuthorityRemoved(t *testing.T) {
	kubectl(t, "", "patch", "mutatingwebhookconfiguration", "irsa-sidecar", "--type=json", "-p", `[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`)
	until(t, 30*time.Second, func() error {
		if kubectl(t, "", "get", "mutatingwebhookconfiguration", "irsa-sidecar", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}") == "" {
			return fmt.Errorf("no authority")
		}
		return hasSidecar(create(labelled))
	})
}

func testAway(t *testing.T) {
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=0")
	until(t, 60*time.Second, func() error {
		if _, refusal := create(labelled); !strings.Contains(refusal, "pods.irsa-sidecar.io") {
			return fmt.Errorf("a pod that asks: %q", refusal)
		}
		if _, refusal := create(byAccount); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") {
			return fmt.Errorf("a pod whose account asks: %q", refusal)
		}
		return nil
	})
	checkOthers(t)
}

// checkOthers checks that pods that do not ask are created at once.
func checkOthers(t *testing.T) {
	t.Helper()
	for _, s := range []shapes.Shape{unlabelled, declining} {
		start := time.Now()
		if _, refusal := create(s); refusal != "" || time.Since(start) > time.Second {
			t.Errorf("%s: %q after %s", s.Name, refusal, time.Since(start))
		}
	}
}

// testSilence: somebody listens, and never answers.
func testSilence(t *testing.T) {
	address := os.Getenv("E2E_ADDRESS")
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	patch := fmt.Sprintf(`{"op": "replace", "path": "/webhooks/%%d/clientConfig", "value": {"url": "https://%s/inject"}}`, ln.Addr())
	kubectl(t, "", "patch", "mutatingwebhookconfiguration", "irsa-sidecar", "--type=json", "-p", "["+fmt.Sprintf(patch, 0)+","+fmt.Sprintf(patch, 1)+","+fmt.Sprintf(patch, 2)+"]")
	until(t, 60*time.Second, func() error {
		_, refusal := create(labelled)
		if !strings.Contains(refusal, "pods.irsa-sidecar.io") || !strings.Contains(refusal, ln.Addr().String()) {
			return fmt.Errorf("a pod that asks: %q", refusal)
		}
		return nil
	})
	start := time.Now()
	if _, refusal := create(byAccount); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") {
		t.Errorf("a pod whose account asks: %q", refusal)
	}
	t.Logf("the guard refuses a pod whose account asks after %s", time.Since(start).Round(time.Millisecond))
	checkOthers(t)
}

func imageName() string { return strings.SplitN(os.Getenv("E2E_INJECTOR_IMAGE"), ":", 2)[0] }
func imageTag() string  { return strings.SplitN(os.Getenv("E2E_INJECTOR_IMAGE"), ":", 2)[1] }
