//go:build e2e

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// kinds are workloads in which METADATA is the workload's own and TEMPLATE its pods'. The
// last two are not installed in most clusters.
var kinds = map[string]string{
	"Deployment":  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, METADATA}\nspec: {selector: {matchLabels: {app: x}}, template: TEMPLATE}\n",
	"StatefulSet": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x, METADATA}\nspec: {serviceName: x, selector: {matchLabels: {app: x}}, template: TEMPLATE}\n",
	"DaemonSet":   "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x, METADATA}\nspec: {selector: {matchLabels: {app: x}}, template: TEMPLATE}\n",
	"Job":         "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x, METADATA}\nspec: {template: TEMPLATE}\n",
	"CronJob":     "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x, METADATA}\nspec: {schedule: 0 0 1 1 *, jobTemplate: {spec: {template: TEMPLATE}}}\n",
}

// manifest returns a workload whose pods have these labels, annotations and spec.
func manifest(kind, own, labels, annotations, spec string) string {
	template := fmt.Sprintf("{metadata: {labels: {app: x%s}, annotations: {%s}}, spec: {containers: [%s]%s}}", labels, annotations, clientContainer+"}", spec)
	if strings.HasSuffix(kind, "Job") {
		template = strings.Replace(template, "spec: {", "spec: {restartPolicy: Never, ", 1)
	}
	return strings.NewReplacer("METADATA", own, "TEMPLATE", strings.ReplaceAll(template, "\n", "")).Replace(kinds[kind])
}

// Labels and annotations in the wrong place are refused, for every kind of workload.
func TestGuardOfWorkloads(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	const onWorkload = `labels: {irsa-sidecar/inject: "true"}`
	const onPods = `, irsa-sidecar/inject: "true"`
	withSidecar := ", initContainers: [" + sidecarWith("") + "]"
	for _, tt := range []struct{ name, own, labels, annotations, spec, refused string }{
		{"nothing", "", "", "", "", ""},
		{"label on the workload alone", onWorkload, "", "", "", `KIND x has the label irsa-sidecar/inject: "true", but its pods have neither the label nor the sidecar: for deploy/inject set the label in PATH.labels, or add deploy/component to the kustomization`},
		{"label on the workload, false on the pods", onWorkload, `, irsa-sidecar/inject: "false"`, "", "", "its pods have neither the label nor the sidecar"},
		{"label false on the workload", `labels: {irsa-sidecar/inject: "false"}`, "", "", "", ""},
		{"label on both", onWorkload, onPods, "", "", ""},
		{"label on the pods", "", onPods, "", "", ""},
		{"label on the workload, sidecar in the pods", onWorkload, "", "", withSidecar, ""},
		{"annotation on the workload", `annotations: {irsa-sidecar/inject: "true"}`, "", "", "", "KIND x has the annotation irsa-sidecar/inject, which is not read: make it a label, in PATH.labels, and remove the annotation"},
		{"annotation on the pods", "", "", `irsa-sidecar/inject: "true"`, "", "KIND x has the annotation irsa-sidecar/inject, which is not read"},
		{"endpoints on the workload alone", "annotations: {irsa-sidecar/endpoints: ecs}", onPods, "", "", "KIND x has the annotation irsa-sidecar/endpoints, but its pods do not: for deploy/inject set it in PATH.annotations, or add deploy/component to the kustomization"},
		{"endpoints on both", "annotations: {irsa-sidecar/endpoints: ecs}", onPods, "irsa-sidecar/endpoints: ecs", "", ""},
		{"set-region on the workload alone", `annotations: {irsa-sidecar/set-region: "true"}`, onPods, "", "", "KIND x has the annotation irsa-sidecar/set-region, but its pods do not"},
		{"source on the workload alone", "annotations: {irsa-sidecar/source: pod-identity}", onPods, "", "", "KIND x has the annotation irsa-sidecar/source, but its pods do not"},
		{"the default source on the workload alone", "annotations: {irsa-sidecar/source: web-identity}", onPods, "", "", ""},
		{"source on the pods", "", onPods, "irsa-sidecar/source: pod-identity", "", ""},
		{"unknown source", "", onPods, "irsa-sidecar/source: irsa", "", `annotation irsa-sidecar/source of KIND x or its pods is neither "web-identity" nor "pod-identity": set it to one of them`},
		{"unknown source of the workload", "annotations: {irsa-sidecar/source: irsa}", onPods, "irsa-sidecar/source: pod-identity", "", "annotation irsa-sidecar/source of KIND x or its pods is neither"},
		{"setting on the workload alone", "annotations: {irsa-sidecar/duration: 30m}", onPods, "", "", "KIND x has the annotation irsa-sidecar/duration, but its pods do not"},
		{"settings", "", onPods, `irsa-sidecar/duration: 1h30m, irsa-sidecar/session-policy-arns: "arn:aws:iam::aws:policy/A, arn:aws-cn:iam::111122223333:policy/b/C", irsa-sidecar/log-level: DEBUG, irsa-sidecar/zone: us-gov-east-1a, irsa-sidecar/allowed-uids: "1000,0"`, "", ""},
		{"empty settings", "", onPods, `irsa-sidecar/duration: "", irsa-sidecar/session-policy-arns: "", irsa-sidecar/log-level: "", irsa-sidecar/zone: "", irsa-sidecar/allowed-uids: ""`, "", ""},
		{"unknown name", "", onPods, "irsa-sidecar/durration: 30m", "", "KIND x has the unknown annotation irsa-sidecar/durration: correct it to one of irsa-sidecar/endpoints, "},
		{"unknown name on the workload", "annotations: {irsa-sidecar/durration: 30m}", onPods, "", "", "KIND x has the unknown annotation irsa-sidecar/durration"},
		{"no duration", "", onPods, `irsa-sidecar/duration: "30"`, "", "the pods of KIND x have an invalid annotation irsa-sidecar/duration: set it to a duration from 15m to 12h, as in 90m"},
		{"short duration", "", onPods, "irsa-sidecar/duration: 899s", "", "invalid annotation irsa-sidecar/duration"},
		{"long duration", "", onPods, "irsa-sidecar/duration: 12h1s", "", "invalid annotation irsa-sidecar/duration"},
		{"no policy", "", onPods, "irsa-sidecar/session-policy-arns: ReadOnlyAccess", "", "invalid annotation irsa-sidecar/session-policy-arns: set it to at most 10 ARNs of policies, separated by commas"},
		{"no log level", "", onPods, "irsa-sidecar/log-level: trace", "", "invalid annotation irsa-sidecar/log-level: set it to debug, info, warn or error"},
		{"no zone", "", onPods, `irsa-sidecar/zone: "eu west"`, "", "invalid annotation irsa-sidecar/zone: set it to the name of a zone, such as eu-west-1a"},
		{"allowed users by name", "", onPods, "irsa-sidecar/allowed-uids: app", "", "invalid annotation irsa-sidecar/allowed-uids: set it to user ids, separated by commas, such as 1000,1001"},
		{"allowed users with a space", "", onPods, `irsa-sidecar/allowed-uids: "1000, 1001"`, "", "invalid annotation irsa-sidecar/allowed-uids"},
		{"settings of the containers", "", onPods, `irsa-sidecar/cpu-request: "0.5", irsa-sidecar/cpu-limit: "1", irsa-sidecar/memory-request: 32Mi, irsa-sidecar/memory-limit: 1.5Gi, irsa-sidecar/ephemeral-storage-request: 1M, irsa-sidecar/ephemeral-storage-limit: none, irsa-sidecar/uid: "1000700911", irsa-sidecar/gid: "0", irsa-sidecar/image-pull-policy: Always, irsa-sidecar/startup: hook`, "", ""},
		{"empty settings of the containers", "", onPods, `irsa-sidecar/cpu-limit: "", irsa-sidecar/uid: "", irsa-sidecar/gid: "", irsa-sidecar/image-pull-policy: "", irsa-sidecar/startup: ""`, "", ""},
		{"no quantities", "", onPods, `irsa-sidecar/cpu-limit: 10 m, irsa-sidecar/memory-request: -1Mi`, "", "the pods of KIND x have an invalid annotation irsa-sidecar/cpu-limit: set it to a quantity, such as 50m or 64Mi, or to none; irsa-sidecar/memory-request: set it to a quantity"},
		{"root", "", onPods, `irsa-sidecar/uid: "0"`, "", "invalid annotation irsa-sidecar/uid: set it to a user id from 1 to 1999999999"},
		{"no group", "", onPods, `irsa-sidecar/gid: staff`, "", "invalid annotation irsa-sidecar/gid: set it to a group id from 0 to 1999999999"},
		{"no pull policy", "", onPods, `irsa-sidecar/image-pull-policy: always`, "", "invalid annotation irsa-sidecar/image-pull-policy: set it to Always, IfNotPresent, Never or none"},
		{"neither probe nor hook", "", onPods, `irsa-sidecar/startup: fast`, "", "invalid annotation irsa-sidecar/startup: set it to probe or hook"},
		{"setting of the containers on the workload alone", "annotations: {irsa-sidecar/uid: \"1\"}", onPods, "", "", "KIND x has the annotation irsa-sidecar/uid, but its pods do not"},
		{"setting for inject, sidecar in the pods", onWorkload, onPods, "irsa-sidecar/cpu-limit: 50m", withSidecar, "KIND x has the annotation irsa-sidecar/cpu-limit, which is for deploy/inject, but has a sidecar already: change that sidecar (with deploy/component, in the ConfigMap irsa-sidecar), and remove the annotation"},
		{"set-region yes", "", onPods, `irsa-sidecar/set-region: "yes"`, "", `annotation irsa-sidecar/set-region of KIND x or its pods is neither "true" nor "false": set it to one of them`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for kind := range kinds {
				path := "spec.template.metadata"
				if kind == "CronJob" {
					path = "spec.jobTemplate.spec.template.metadata"
				}
				_, err := n.dryRun(manifest(kind, tt.own, tt.labels, tt.annotations, tt.spec))
				want := strings.NewReplacer("KIND", kind, "PATH", path).Replace(tt.refused)
				if message := refusal(err); (err != nil) != (tt.refused != "") || !strings.Contains(message, want) {
					t.Errorf("%s: the API server answered %v, want %q", kind, err, want)
				}
			}
			t.Logf("proved: %s", cmp.Or(tt.refused, "admitted"))
		})
	}
	for _, tt := range []admission{
		{name: "annotation on a pod", annotations: `irsa-sidecar/inject: "true"`, refused: []string{"Pod example has the annotation irsa-sidecar/inject, which is not read: make it a label, in metadata.labels, and remove the annotation"}},
		{name: "unknown name on a pod", annotations: "irsa-sidecar/cpu: 1m", refused: []string{"Pod example has the unknown annotation irsa-sidecar/cpu: correct it"}},
		{name: "no user on a pod", annotations: "irsa-sidecar/uid: x", refused: []string{"Pod example has an invalid annotation irsa-sidecar/uid: set it"}},
		{name: "set-region on a pod", label: "false", annotations: `irsa-sidecar/set-region: "no"`, refused: []string{"annotation irsa-sidecar/set-region of Pod example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := n.dryRun(strings.Replace(tt.pod(), "serviceAccountName: a", "serviceAccountName: default", 1)); !strings.Contains(refusal(err), tt.refused[0]) {
				t.Errorf("the API server answered %v, want %q", err, tt.refused[0])
			}
		})
	}
}

// In a namespace with the label, pods without a label get the sidecar. A controller may
// update a workload that is older than the guard.
func TestGuardOfEarlierWorkloads(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, privileged)
	n.apply(manifest("CronJob", `labels: {irsa-sidecar/inject: "true"}`, "", "", ""))
	n.kubectl("label", "namespace", n.name, ours+"/guard=true")
	n.awaitPolicies([]string{"guard"})
	if _, err := n.tryKubectl("", "annotate", "cronjob", "x", "a=b", "--dry-run=server"); err != nil {
		t.Errorf("an annotation: %v", err)
	}
	_, err := n.tryKubectl("", "patch", "cronjob", "x", "--dry-run=server", "-p", `{"spec": {"schedule": "0 0 2 1 *"}}`)
	if !strings.Contains(refusal(err), "its pods have neither the label nor the sidecar") {
		t.Errorf("a change: the API server answered %v", err)
	}
	n.kubectl("label", "namespace", n.name, "irsa-sidecar/inject=true")
	until(t, 30*time.Second, func() error {
		_, err := n.dryRun(manifest("Deployment", `labels: {irsa-sidecar/inject: "true"}`, "", "", ""))
		return err
	})
}

// The guard warns about what is often not intended, and admits it.
func TestWarnings(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	const region = `, {name: AWS_REGION, value: a}`
	client := func(name, variables string) string {
		return "{name: " + name + ", image: none, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}" + variables + "]}"
	}
	as := func(uid, container string) string {
		return strings.TrimSuffix(container, "}") + ", securityContext: {runAsUser: " + uid + "}}"
	}
	plain := initContainers(sidecarWith(""))
	for _, tt := range []struct {
		name, label, annotations, containers, spec string
		want                                       []string
	}{
		{"none", "true", "", client("app", region), plain, nil},
		{"default region by reference", "true", "", client("app", ", {name: AWS_DEFAULT_REGION, valueFrom: {configMapKeyRef: {name: a, key: a}}}"), plain, nil},
		{"no region", "true", "", client("app", region) + ", " + client("two", `, {name: AWS_REGION, value: ""}`), plain, []string{
			`container two has no region: set AWS_REGION and AWS_DEFAULT_REGION, or with deploy/component annotate the workload with irsa-sidecar/set-region: "true"`}},
		{"no region wanted", "true", `irsa-sidecar/set-region: "false"`, client("app", ""), plain, nil},
		{"no region, envFrom", "true", "", "{name: app, image: none, envFrom: [{configMapRef: {name: a}}]}", plain, nil},
		{"no variable", "true", "", client("app", region) + ", {name: two, image: none, env: null}", plain, []string{
			"container two does not have AWS_CONTAINER_CREDENTIALS_FULL_URI: if it needs credentials, set it to http://127.0.0.1:9911/v1/credentials"}},
		{"no variable, instance metadata endpoint", "true", imdsOnly, client("app", region) + ", {name: two, image: none}", initContainers(linkLocal + ", " + sidecarWith(bothListeners)), nil},
		{"overriding", "true", "", client("app", region+`, {name: AWS_PROFILE, value: a}, {name: AWS_SHARED_CREDENTIALS_FILE, value: ""}, {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: a}`) +
			", " + client("two", region+`, {name: AWS_ACCESS_KEY_ID, valueFrom: {secretKeyRef: {name: a, key: a}}}, {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: a}, {name: AWS_ROLE_ARN, value: a}, {name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, value: a}`), plain, []string{
			"variables take precedence over the sidecar in container app (AWS_PROFILE), two (AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI): remove them, or the application may use other credentials"}},
		{"relative URI with the ECS endpoint", "true", ecsOnly, client("app", region+`, {name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, value: a}`), initContainers(linkLocal + ", " + sidecarWith(bothListeners)), nil},
		{"allowed users", "true", `irsa-sidecar/allowed-uids: "1000,1002"`, as("1000", client("app", region)) + ", " + as("1001", "{name: two, image: none}"), plain, []string{
			"container two does not have AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{"allowed users, of the pod", "true", `irsa-sidecar/allowed-uids: "1000"`, client("app", region), plain + "\n  securityContext: {runAsUser: 1000}", nil},
		{"allowed users by hand", "true", "", client("app", region), initContainers(sidecarWith(`{name: SIDECAR_ALLOWED_UIDS, value: "1000"}`)), []string{
			"only some user ids may have credentials, but that of container app is its image's: set securityContext.runAsUser"}},
		{"the image's user", "true", `irsa-sidecar/allowed-uids: "1000"`, client("app", region) + ", " + as("1001", client("two", region)), plain, []string{
			"only some user ids may have credentials, but that of container app is its image's: set securityContext.runAsUser"}},
		{"a neighbour with the application's user", "true", `irsa-sidecar/allowed-uids: "1001,1000"`, as("1000", client("app", region)) + ", " + as("1000", "{name: two, image: none}"), plain, []string{
			"container two does not have AWS_CONTAINER_CREDENTIALS_FULL_URI",
			"container two does not ask for credentials, but has a user id that may have them: give it another one with securityContext.runAsUser"}},
		{"no label", "", "", client("app", region), plain, []string{
			`the pod has a sidecar, but not the label irsa-sidecar/inject: "true": set it, so that the guard compares the role with the service account's`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := n.dryRun(admission{account: "default", label: tt.label, annotations: tt.annotations, containers: tt.containers, spec: tt.spec}.pod())
			if err := errors.Join(err, sameWarnings(answer.warnings, tt.want)); err != nil {
				t.Error(err)
			}
		})
	}
	// With inject the sidecar is added to the pods, whose warnings nobody sees.
	for kind := range kinds {
		answer, err := n.dryRun(strings.Replace(manifest(kind, "", `, irsa-sidecar/inject: "true"`, "", ""), "value: x}", "value: x}, {name: AWS_PROFILE, value: a}", 1))
		if err := errors.Join(err, sameWarnings(answer.warnings, []string{"variables take precedence over the sidecar in container app (AWS_PROFILE)"})); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// sameWarnings compares the guard's warnings with the beginnings of those that are expected.
func sameWarnings(got, want []string) error {
	got = slices.DeleteFunc(slices.Clone(got), func(w string) bool { return !strings.Contains(w, "irsa-sidecar-warnings") })
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.Contains(strings.ReplaceAll(got[i], `\"`, `"`), ": "+want[i])
	}
	if !ok {
		return fmt.Errorf("the warnings are %q, want %q", got, want)
	}
	return nil
}

// Workloads of other projects are checked where their kinds exist.
func TestGuardOfOtherKinds(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	for _, kind := range []struct{ group, version, plural, kind string }{
		{"argoproj.io", "v1alpha1", "rollouts", "Rollout"},
		{"serving.knative.dev", "v1", "services", "Service"},
	} {
		t.Run(kind.kind, func(t *testing.T) {
			_, err := kubectl(t.Context(), fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]s.%[1]s, labels: {%[5]s: "true"}}
spec:
  group: %[1]s
  names: {plural: %[3]s, kind: %[4]s}
  scope: Namespaced
  versions: [{name: %[2]s, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, kind.group, kind.version, kind.plural, kind.kind, ours), "create", "-f", "-")
			if err != nil && !strings.Contains(refusal(err), "already exists") {
				t.Fatal(err)
			}
			head := fmt.Sprintf("apiVersion: %s/%s\nkind: %s\nmetadata: {name: x, labels: {irsa-sidecar/inject: \"true\"}}\n", kind.group, kind.version, kind.kind)
			until(t, 30*time.Second, func() error {
				_, err := n.dryRun(head + "spec: {template: {spec: {containers: [{name: app, image: none}]}}}\n")
				if want := kind.kind + ` x has the label irsa-sidecar/inject: "true", but its pods have neither the label nor the sidecar`; !strings.Contains(refusal(err), want) {
					return fmt.Errorf("the API server answered %v", err)
				}
				return nil
			})
			for _, spec := range []string{
				"{workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}}",
				`{template: {metadata: {labels: {irsa-sidecar/inject: "true"}}, spec: {containers: [{name: app, image: none}]}}}`,
			} {
				if _, err := n.dryRun(head + "spec: " + spec + "\n"); err != nil {
					t.Errorf("%s: %v", spec, err)
				}
			}
		})
	}
}
