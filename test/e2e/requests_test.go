//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Service accounts and namespaces that would keep the sidecar out of pods silently are
// refused.
func TestGuardOfRequests(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard")
	account := func(metadata string) func() error {
		return func() error {
			_, err := n.dryRun("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a" + metadata + "}\n")
			return err
		}
	}
	kubectl := func(args ...string) func() error {
		return func() error {
			_, err := n.tryKubectl("", append(args, "--dry-run=server")...)
			return err
		}
	}
	tests := []struct {
		name    string
		request func() error
		refused string
	}{
		{"account, label true", account(`, labels: {irsa-sidecar/inject: "true"}`), ""},
		{"account, label false", account(`, labels: {irsa-sidecar/inject: "false"}`), ""},
		{"account, label yes", account(`, labels: {irsa-sidecar/inject: "yes"}`), `the label irsa-sidecar/inject of service account a is "yes": set it to "true" or "false"`},
		{"account, annotation", account(`, annotations: {irsa-sidecar/inject: "true"}`), "service account a has the annotation irsa-sidecar/inject, which is not read: make it a label (kubectl label serviceaccount a irsa-sidecar/inject=true) and remove the annotation"},
		{"account, endpoints", account(`, annotations: {irsa-sidecar/endpoints: "imds, ecs"}`), ""},
		{"account, unknown endpoint", account(`, annotations: {irsa-sidecar/endpoints: both}`), `annotation irsa-sidecar/endpoints of service account a is "both": set it to "ecs", "imds" or "ecs,imds"`},
		{"account, settings", account(`, annotations: {irsa-sidecar/cpu-limit: 100m, irsa-sidecar/uid: "5", irsa-sidecar/gid: "0", irsa-sidecar/image-pull-policy: none, irsa-sidecar/startup: hook}`), ""},
		{"account, no quantity", account(`, annotations: {irsa-sidecar/cpu-limit: 100 m}`), "service account a has an invalid annotation irsa-sidecar/cpu-limit: set it to a quantity, such as 50m or 64Mi, or to none"},
		{"account, neither probe nor hook", account(`, annotations: {irsa-sidecar/startup: fast}`), "service account a has an invalid annotation irsa-sidecar/startup: set it to probe or hook"},
		{"account, setting of pods", account(`, annotations: {irsa-sidecar/duration: 1h}`), "service account a has the annotation irsa-sidecar/duration, which is not read: annotate the pods, or correct it to one of irsa-sidecar/endpoints, "},
		{"account, no role ARN", account(`, labels: {irsa-sidecar/inject: "true"}, annotations: {eks.amazonaws.com/role-arn: a}`), `annotation eks.amazonaws.com/role-arn of service account a is "a", which is not a role ARN`},
		{"account, role ARN of Ceph", account(`, labels: {irsa-sidecar/inject: "true"}, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam:::role/a"}`), ""},
		{"account that does not ask, no role ARN", account(`, annotations: {eks.amazonaws.com/role-arn: a}`), ""},
		{"account, changed", kubectl("annotate", "serviceaccount", "default", "irsa-sidecar/inject=true"), "service account default has the annotation irsa-sidecar/inject, which is not read"},
		{"namespace, annotation", kubectl("annotate", "namespace", n.name, "irsa-sidecar/inject=true"), "namespace " + n.name + " has the annotation irsa-sidecar/inject, which is not read: make it a label (kubectl label namespace " + n.name + " irsa-sidecar/inject=true)"},
		{"namespace, label yes", kubectl("label", "namespace", n.name, "irsa-sidecar/inject=yes"), `the label irsa-sidecar/inject of namespace ` + n.name + ` is "yes"`},
		{"namespace, label true", kubectl("label", "namespace", n.name, "irsa-sidecar/inject=true"), ""},
		{"account, source", account(`, annotations: {irsa-sidecar/source: pod-identity}`), ""},
		{"account, unknown source", account(`, annotations: {irsa-sidecar/source: irsa}`), `annotation irsa-sidecar/source of service account a is "irsa": set it to "web-identity" or "pod-identity"`},
		{"namespace, source", kubectl("annotate", "namespace", n.name, "irsa-sidecar/source=pod-identity"), "namespace " + n.name + " has the annotation irsa-sidecar/source, which is not read"},
		{"namespace, setting", kubectl("annotate", "namespace", n.name, "irsa-sidecar/uid=5"), "namespace " + n.name + " has the annotation irsa-sidecar/uid, which is not read: annotate the service account or the pods"},
		{"namespace, endpoints", kubectl("annotate", "namespace", n.name, "irsa-sidecar/endpoints=ecs"), "namespace " + n.name + " has the annotation irsa-sidecar/endpoints, which is not read: annotate the service account or the pods"},
	}
	until(t, 30*time.Second, func() error { // the policies come into force one by one
		if err := tests[2].request(); err == nil {
			return fmt.Errorf("%s is admitted", tests[2].name)
		}
		return nil
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.request()
			if message := refusal(err); (err != nil) != (tt.refused != "") || !strings.Contains(message, tt.refused) {
				t.Fatalf("the API server answered %v, want %q", err, tt.refused)
			}
			t.Logf("proved: %s", cmp.Or(tt.refused, "admitted"))
		})
	}
}

// Service accounts may be older than the guard.
func TestGuardOfEarlierAccounts(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, privileged)
	n.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: labelled-yes, labels: {irsa-sidecar/inject: "yes"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: wrong-limit, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/cpu-limit: 10 m}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: wrong-endpoints, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/endpoints: "both"}}
`)
	n.kubectl("label", "namespace", n.name, ours+"/inject=true", ours+"/guard=true")
	n.awaitPolicies([]string{"inject", "guard"})
	n.check(t, []admission{
		{name: "service account labelled yes", account: "labelled-yes", refused: []string{`the label irsa-sidecar/inject of service account labelled-yes is "yes": set it to "true" or "false"`}},
		{name: "wrong limit in the service account", account: "wrong-limit", label: "true", refused: []string{"service account wrong-limit has an invalid annotation irsa-sidecar/cpu-limit: set it to a quantity"}},
		{name: "wrong name in the service account", account: "wrong-endpoints", label: "true", refused: []string{`service account wrong-endpoints has the annotation irsa-sidecar/endpoints: "both", but no endpoint was added to the pod`, `it must be "ecs", "imds" or "ecs,imds", and deploy/inject must be applied`}},
	})
}

// A namespace's label counts where neither the pod nor its service account has one.
func TestRequestedByNamespace(t *testing.T) {
	t.Parallel()
	injected, alone := newNamespace(t, "inject", "guard", privileged), newNamespace(t, "guard", privileged)
	for _, n := range []*namespace{injected, alone} {
		n.kubectl("label", "namespace", n.name, "irsa-sidecar/inject=true")
	}
	until(t, 30*time.Second, func() error { // the API server reads namespaces from a cache too
		_, err := alone.dryRun(admission{account: "default"}.pod())
		answer, errInjected := injected.dryRun(admission{account: "default", annotations: `eks.amazonaws.com/role-arn: "` + roleA + `"`}.pod())
		if err == nil || errInjected == nil && !strings.Contains(answer.object, "irsa-sidecar") {
			return fmt.Errorf("the label is not seen yet: %v, %v", err, errInjected)
		}
		return nil
	})
	t.Run("with inject", func(t *testing.T) {
		injected.check(t, []admission{
			{name: "no label", sidecar: true},
			{name: "no role", account: "default", refused: []string{"the sidecar has no role"}},
			{name: "label false", label: "false"},
			{name: "service account labelled false", account: "labelled-false"},
			{name: "service account labelled false, label true", account: "labelled-false", label: "true", sidecar: true},
			{name: "labelled service account", account: "labelled", sidecar: true},
			{name: "role differs from the service account's", annotations: `eks.amazonaws.com/role-arn: "` + roleB + `"`, refused: []string{roleA, roleB, "make them the same"}},
		})
	})
	t.Run("without inject", func(t *testing.T) {
		alone.check(t, []admission{
			{name: "no label", refused: []string{"namespace " + alone.name + ` has the label irsa-sidecar/inject: "true", but the pod has no sidecar`, "apply deploy/inject"}},
			{name: "label false", label: "false"},
			{name: "service account labelled false", account: "labelled-false"},
		})
	})
}

// The label irsa-sidecar/requested-by keeps the policy from looking at the pod again, which
// would take long in a namespace with many service accounts.
func TestRequestedBy(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.check(t, nil) // waits for the service accounts
	for _, tt := range []struct {
		account, label, want string
	}{{"labelled", "", "service-account"}, {"labelled", "true", "pod"}, {"a", "true", "pod"}} {
		answer, err := n.dryRun(admission{account: tt.account, label: tt.label}.pod())
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"irsa-sidecar/requested-by":%q`, tt.want); !strings.Contains(answer.object, want) {
			t.Errorf("service account %s, label %q: no label %s: %s", tt.account, tt.label, want, answer.object)
		}
	}
}
