package policy

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const dir = "../../deploy/inject"

func settings() Settings {
	return Settings{"image": "registry.example.com/irsa-sidecar:v1", "region": "eu-west-1"}
}

// complete returns settings with the defaults.
func complete(t *testing.T) Settings {
	t.Helper()
	defaults, err := os.ReadFile("../../deploy/settings/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := withDefaults(settings(), defaults)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func documents(t *testing.T) []byte {
	t.Helper()
	policy, err := os.ReadFile(dir + "/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := os.ReadFile(dir + "/bindings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(policy, "\n---\n"...), bindings...)
}

func TestLoad(t *testing.T) {
	if _, err := LoadDirectory(dir, settings()); err != nil {
		t.Fatal(err)
	}
	rendered, others := bytes.ReplaceAll(documents(t), []byte(`'"IMAGE"'`), []byte(`'"image"'`)), complete(t)
	delete(others, "image")
	if _, err := Load(rendered, others); err != nil {
		t.Errorf("a policy that has an image: %v", err)
	}
}

// What is not carried out is refused, and so is what would only fail when a pod is created.
func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"another kind of parameter", "kind: ServiceAccount}", "kind: ConfigMap}", "paramKind"},
		{"a policy that may fail", "failurePolicy: Fail", "failurePolicy: Ignore", "failurePolicy"},
		{"reinvocation", "reinvocationPolicy: Never", "reinvocationPolicy: IfNeeded", "reinvocationPolicy"},
		{"other operations", "operations: [CREATE]", "operations: [CREATE, UPDATE]", "matchConstraints"},
		{"other resources", "resources: [pods]", "resources: [pods, pods/ephemeralcontainers]", "matchConstraints"},
		{"names", "resources: [pods]", "resources: [pods]\n        resourceNames: [a]", "matchConstraints"},
		{"an exact match", "matchPolicy: Equivalent", "matchPolicy: Exact", "matchConstraints"},
		{"another first condition", "expression: params.metadata.name == ", `expression: true || params.metadata.name == `, "first match condition"},
		{"an unknown field", "  failurePolicy: Fail", "  failurePolicy: Fail\n  audit: true", "unknown field"},
		{"a field twice", "  failurePolicy: Fail", "  failurePolicy: Fail\n  failurePolicy: Fail", "already set"},
		{"ApplyConfiguration", "patchType: JSONPatch\n      jsonPatch:", "patchType: ApplyConfiguration\n      applyConfiguration:", "patchType"},
		{"a variable that does not compile", "variables.annotation.split", "variables.annotation.splat", "variable endpointNames"},
		{"a condition that does not compile", `c.name == "irsa-sidecar")`, `c.name == )`, "match conditions"},
		{"a mutation that does not compile", "variables.requestedBy}", "variables.nothing}", "mutation 2"},
		{"no variable for the region", "- name: region", "- name: regions", "no variable region"},
		{"an image that is no literal", `'"IMAGE"'`, `params.metadata.name`, "not a string"},
		{"another policy's binding", "policyName: irsa-sidecar", "policyName: another", "policyName"},
		{"a parameter by name", "selector: {} # every", "name: default # every", "paramRef"},
		{"refusal without an account", "parameterNotFoundAction: Allow", "parameterNotFoundAction: Deny", "parameterNotFoundAction"},
		{"a selector that is none", "operator: DoesNotExist}]\n  paramRef", "operator: Never}]\n  paramRef", "Never"},
		{"rules in a binding", "  paramRef:", "    resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods]}]\n  paramRef:", "matchResources"},
		{"another object", "kind: MutatingAdmissionPolicyBinding", "kind: ConfigMap", "neither a policy nor a binding"},
		{"another version", "apiVersion: admissionregistration.k8s.io/v1\n", "apiVersion: admissionregistration.k8s.io/v1beta1\n", "neither a policy nor a binding"},
		{"no bindings", "kind: MutatingAdmissionPolicyBinding", "kind: MutatingAdmissionPolicy", "more than one policy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := string(documents(t))
			after := strings.Replace(before, tt.old, tt.new, 1)
			if after == before {
				t.Fatalf("the policy does not contain %q", tt.old)
			}
			_, err := Load([]byte(after), complete(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestSettingsAreRequired(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings Settings
		want     string
	}{
		{"neither", Settings{}, "no image is set\nno region is set"},
		{"no region", Settings{"image": "image"}, "no region is set"},
		{"the placeholder", Settings{"image": "IMAGE", "region": "eu-west-1"}, "no image is set"},
		{"an empty image", Settings{"image": "", "region": "eu-west-1"}, `the image is ""`},
		{"a quotation mark", Settings{"image": `a" + "b`, "region": "eu-west-1"}, `the image is "a\" + \"b"`},
		{"an unknown key", Settings{"image": "image", "region": "", "cpu": "1"}, "unknown setting cpu"},
		{"a quotation mark in another", Settings{"image": "image", "region": "", "uid": `1", "x": "`}, `the uid is "1\", \"x\": \""`},
		{"the node's region", Settings{"image": "image", "region": ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadDirectory(dir, tt.settings)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
