//go:build e2e

package e2e

import (
	"errors"
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
	policies := policies(t)
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
	step("a namespace without the label", testNamespaceWithoutLabel)
	step("same as the policy", testSame)
	if policies {
		step("pods of controllers", testControllers)
		step("the policy was first", testNothingInjected)
		step("beside the webhook of EKS", testBesideEKS)
		step("an upgrade", testUpgrade)
		return
	}
	step("pods of controllers", testControllers)
	step("cost", testCost)
	step("a rolling restart refuses nothing", testRestart)
	step("a killed replica", testKill)
	step("the Secret is deleted", testSecretDeleted)
	step("the authority is removed", testAuthorityRemoved)
	step("Prometheus", testPrometheus)
	step("a certificate expires", testShortLived)
	step("beside the webhook of EKS", testBesideEKS)
	step("cert-manager", testCertManager)
	step("all replicas are away", testAway)
	step("an address that does not answer", testSilence)
}

// policies reports whether the API server evaluates the policy itself.
func policies(t *testing.T) bool {
	return strings.Contains(kubectl(t, "", "get", "--raw", "/apis/admissionregistration.k8s.io/v1"), `"mutatingadmissionpolicies"`)
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
	applyPolicy(t)
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

func applyPolicy(t *testing.T) {
	t.Helper()
	apply(t, fmt.Sprintf("configMapGenerator: [{name: irsa-sidecar, literals: [%q, region=eu-west-1]}]\ncomponents: [../deploy/inject]\n", "image="+shapes.Image))
}

// testStart applies deploy/injector, as documented.
func testStart(t *testing.T) {
	applyInjector(t, "")
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	t.Cleanup(func() { logState(t) })
	kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=60s")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
	until(t, 30*time.Second, func() error { return hasSidecar(create(byAccount)) })
	if certificates := strings.Fields(kubectl(t, "", "get", "mutatingwebhookconfiguration", "irsa-sidecar", "-o", "jsonpath={.webhooks[*].clientConfig.caBundle}")); len(certificates) != 3 || certificates[0] != certificates[1] || certificates[0] != certificates[2] {
		t.Errorf("caBundle: %q", certificates)
	}
}

// applyInjector applies deploy/injector with more of a kustomization.
func applyInjector(t *testing.T, more string) {
	t.Helper()
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
%s
`, imageName(), imageTag(), "image="+shapes.Image, host, port, more))
}

// testNamespaceWithoutLabel: where the API server does not ask the injector, the guard refuses,
// and says what to do.
func testNamespaceWithoutLabel(t *testing.T) {
	kubectl(t, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: forgotten}}", "apply", "-f", "-")
	kubectl(t, "---\n"+`{apiVersion: v1, kind: ServiceAccount, metadata: {name: asking, namespace: forgotten, labels: {irsa-sidecar/inject: "true"}, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/a"}}}`, "apply", "-f", "-")
	forgotten := shapes.Shape{Namespace: "forgotten", Pod: podOf("asking", "")}
	if policies(t) {
		until(t, 30*time.Second, func() error { return hasSidecar(create(forgotten)) }) // by the policy
		return
	}
	until(t, 30*time.Second, func() error {
		_, refusal := create(forgotten)
		if !strings.Contains(refusal, `label namespace forgotten with irsa-sidecar/service-accounts: "true"`) {
			return fmt.Errorf("%q", refusal)
		}
		return nil
	})
	kubectl(t, "", "label", "namespace", "forgotten", "irsa-sidecar/service-accounts=true")
	until(t, 30*time.Second, func() error { return hasSidecar(create(forgotten)) })
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

// testControllers: pods that are not only tried, by the label and by the account.
func testControllers(t *testing.T) {
	const template = "selector: {matchLabels: {app: %[2]s}}, template: {metadata: {labels: {app: %[2]s, %[3]s}}, spec: {serviceAccountName: %[4]s, restartPolicy: %[5]s, containers: [{name: app, image: app}]}}"
	var names []string
	for _, kind := range []string{"apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 Job"} {
		version, kind, _ := strings.Cut(kind, " ")
		for account, label := range map[string]string{"example": asking, "asking": "a: b"} {
			name, restart, spec := strings.ToLower(kind)+"-"+account, "Always", template
			if kind == "Job" {
				restart, spec = "Never", "manualSelector: true, "+template
			}
			names = append(names, name)
			kubectl(t, fmt.Sprintf("---\n{apiVersion: "+version+", kind: "+kind+", metadata: {name: %[2]s, namespace: %[1]s}, spec: {"+spec+"}}", shapes.Namespace, name, label, account, restart), "apply", "-f", "-")
		}
	}
	until(t, 60*time.Second, func() error {
		for _, name := range names {
			got := kubectl(t, "", "-n", shapes.Namespace, "get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[*].spec.initContainers[*].name}")
			if !strings.HasPrefix(got, "irsa-sidecar") {
				return fmt.Errorf("%s: init containers %q", name, got)
			}
		}
		return nil
	})
	kubectl(t, "", "-n", shapes.Namespace, "delete", "deployment,statefulset,daemonset,job", "--all", "--cascade=background")
	kubectl(t, "", "-n", shapes.Namespace, "delete", "pods", "--all", "--grace-period=0", "--force")
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

func imageName() string { return strings.SplitN(os.Getenv("E2E_INJECTOR_IMAGE"), ":", 2)[0] }
func imageTag() string  { return strings.SplitN(os.Getenv("E2E_INJECTOR_IMAGE"), ":", 2)[1] }

// testUpgrade: on a version that has the policy the webhook goes on without it, and once it is
// applied injects nothing more. No pod is refused, or passes, meanwhile.
func testUpgrade(t *testing.T) {
	const injected = `irsa_sidecar_injector_requests_total{result="injected"}`
	kubectl(t, "", "delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", "--all")
	until(t, 30*time.Second, func() error {
		if err := hasSidecar(create(labelled)); err != nil {
			return err
		}
		if metric(t, injected) == 0 {
			return errors.New("the webhook injects nothing")
		}
		return nil
	})
	failures, count := load(func() {
		time.Sleep(time.Second)
		applyPolicy(t)
		for last := -1.0; last != metric(t, injected); time.Sleep(3 * time.Second) {
			last = metric(t, injected)
		}
	})
	t.Logf("%d pods, %d failures; the webhook injected %.0f", count, len(failures), metric(t, injected))
	if len(failures) > 0 || count < 20 {
		t.Errorf("%d pods, failures %v", count, failures)
	}
}
