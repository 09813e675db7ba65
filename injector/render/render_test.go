package render

import (
	"bytes"
	"strings"
	"testing"

	"irsa-sidecar/injector/policy"
)

func load(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.LoadDirectory("../../deploy/inject", policy.Settings{"image": "registry.example.com/irsa-sidecar:v1", "region": "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, manifests string) string {
	t.Helper()
	p := load(t)
	out, err := Render(t.Context(), p, []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Render(t.Context(), p, out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, out) {
		t.Errorf("rendered twice the output changes to\n%s", again)
	}
	return string(out)
}

const account = `---
# The account of the tests
apiVersion: v1
kind: ServiceAccount
metadata:
    name:   example # not indented as usual
    annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/example"}
`

// Every kind with a pod, wherever it is.
func TestKinds(t *testing.T) {
	const pod = `metadata: {labels: {irsa-sidecar/inject: "true"}}, spec: {serviceAccountName: example, containers: [{name: app, image: app, env: null}]}`
	for _, tt := range []struct{ name, manifest string }{
		{"Pod", "{apiVersion: v1, kind: Pod, " + pod + "}"},
		{"Deployment", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: example}, spec: {template: {" + pod + "}}}"},
		{"Job", "{apiVersion: batch/v1, kind: Job, metadata: {name: example}, spec: {template: {" + pod + "}}}"},
		{"CronJob", "{apiVersion: batch/v1, kind: CronJob, metadata: {name: example}, spec: {jobTemplate: {spec: {template: {" + pod + "}}}}}"},
		{"Rollout", "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: example}, spec: {template: {" + pod + "}}}"},
		{"PodTemplate of a Knative Service", "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: example}, spec: {template: {" + pod + "}}}"},
		{"List", "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap}, {apiVersion: apps/v1, kind: ReplicaSet, spec: {template: {" + pod + "}}}]}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := render(t, account+"---\n# Source: "+tt.name+"\n"+tt.manifest+"\n")
			if !strings.HasPrefix(out, account+"---\n# Source: "+tt.name+"\n") {
				t.Errorf("the account or the comment is not as it was:\n%s", out)
			}
			for _, want := range []string{"irsa-sidecar-token", "role/example", "127.0.0.1:9911", "irsa-sidecar/requested-by", "registry.example.com/irsa-sidecar:v1"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %s in\n%s", want, out)
				}
			}
			if n := strings.Count(out, "restartPolicy"); n != 1 {
				t.Errorf("%d sidecars", n)
			}
		})
	}
}

// What does not ask is returned byte for byte.
func TestByteForByte(t *testing.T) {
	for _, manifests := range []string{
		"", "\n", "---\n", "# a comment", "--- # the first\na: 1\n---\n\n---\n# only a comment\n---\nb:   {c: 1}",
		account,
		"a: &x 1\nb: *x\nc: !!str 9007199254740993\n",
		"data:\n  text: |\n    --- not a separator\n    more\n",
		"apiVersion: apps/v1\r\nkind: Deployment\r\nspec: {template: {spec: {containers: [{name: app}]}}}\r\n---\r\nx: 1\r\n",
		`{apiVersion: v1, kind: Pod, metadata: {labels: {irsa-sidecar/inject: "false"}}, spec: {containers: [{name: app}]}}`,
		`{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {labels: {irsa-sidecar/inject: "true"}}, spec: {workloadRef: {name: a}}}`,
		`{apiVersion: v1, kind: Pod, metadata: null, spec: null}`,
		`{apiVersion: example.com/v1, kind: Pod, spec: {template: 1, jobTemplate: []}}`,
	} {
		if out := render(t, manifests); out != manifests {
			t.Errorf("%q becomes %q", manifests, out)
		}
	}
}

// Service account and namespace ask too, if they are among the manifests. Charts do not
// always name the namespace.
func TestAsksElsewhere(t *testing.T) {
	const deployment = "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: example, namespace: there}, spec: {template: {spec: {serviceAccountName: example, containers: [{name: app}]}}}}\n"
	labelled := strings.Replace(account, "    annotations:", "    labels: {irsa-sidecar/inject: \"true\"}\n    annotations:", 1)
	for _, tt := range []struct {
		name, manifests string
		want            bool
	}{
		{"nobody", account + deployment, false},
		{"account without a namespace", labelled + deployment, true},
		{"workload without a namespace", strings.Replace(labelled, "labels:", "namespace: there\n    labels:", 1) + strings.Replace(deployment, ", namespace: there", "", 1), true},
		{"account elsewhere", strings.Replace(labelled, "labels:", "namespace: here\n    labels:", 1) + deployment, false},
		{"account after it", deployment + labelled, true},
		{"namespace", "{apiVersion: v1, kind: Namespace, metadata: {name: there, labels: {irsa-sidecar/inject: \"true\"}}}\n" + account + deployment, true},
		{"another namespace", "{apiVersion: v1, kind: Namespace, metadata: {name: here, labels: {irsa-sidecar/inject: \"true\"}}}\n" + account + deployment, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := render(t, tt.manifests)
			if got := out != tt.manifests; got != tt.want {
				t.Errorf("changed %t, want %t:\n%s", got, tt.want, out)
			}
		})
	}
}

// Without a name it is the account "default", which is not written.
func TestDefaultAccount(t *testing.T) {
	out := render(t, strings.Replace(account, "  example #", "  default #", 1)+
		`---`+"\n"+`{apiVersion: v1, kind: Pod, metadata: {labels: {irsa-sidecar/inject: "true"}}, spec: {containers: [{name: app}]}}`)
	if !strings.Contains(out, "role/example") || strings.Contains(out, "serviceAccountName") {
		t.Error(out)
	}
}

// In JSON a document remains JSON.
func TestJSON(t *testing.T) {
	out := render(t, `{"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"irsa-sidecar/inject": "true"}, "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/own"}},
"spec": {"activeDeadlineSeconds": 9007199254740993, "containers": [{"name": "app"}]}}`)
	if !strings.HasPrefix(out, "{\n") || !strings.Contains(out, "role/own") || !strings.Contains(out, "9007199254740993") {
		t.Error(out)
	}
}

// An error names the workload, and the manifests are not to be used.
func TestErrors(t *testing.T) {
	for _, tt := range []struct{ name, manifests, want string }{
		{"no role", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {irsa-sidecar/inject: \"true\"}}, spec: {serviceAccountName: a, containers: [{name: app}]}}}}",
			"Deployment web: no role: add the service account a "},
		{"not YAML", "a: [", "document 1: "},
		{"no object", "---\na: 1\n---\n- a\n", "document 3: not an object"},
		{"what the policy cannot evaluate", "{apiVersion: v1, kind: Pod, metadata: {name: odd, labels: {irsa-sidecar/inject: \"true\"}}, spec: {containers: [{name: app, env: text}]}}",
			"Pod odd: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Render(t.Context(), load(t), []byte(tt.manifests))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
