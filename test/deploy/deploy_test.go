// Package deploy checks the output of the kustomizations in deploy, without a cluster.
//
// It is a separate module so that the sidecar does not depend on Kubernetes packages.
package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Image, region and role are each set in one place only.
func TestSettings(t *testing.T) {
	tests := []struct {
		file    string // sets the values
		folders []string
		values  []string
	}{
		{
			file:    "examples/settings/irsa-sidecar.yaml",
			folders: []string{"examples/with-webhook", "examples/without-webhook", "examples/capability-path", "examples/authorization-token", "examples/endpoints", "examples/job", "examples/inject"},
			values:  []string{"registry.example.com/irsa-sidecar:v0.1.0", "eu-west-1", "arn:aws:iam::111122223333:role/example"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			dir := copyDeploy(t)
			b, err := os.ReadFile(filepath.Join(dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			for i, value := range tt.values {
				if n := strings.Count(text, value); n != 1 {
					t.Fatalf("%s has %s %d times, want once", tt.file, value, n)
				}
				text = strings.Replace(text, value, fmt.Sprintf("changed-%d", i), 1)
			}
			write(t, filepath.Join(dir, tt.file), text)
			for _, folder := range tt.folders {
				yaml := buildYAML(t, filepath.Join(dir, folder))
				for i, value := range tt.values {
					if folder == "examples/inject" && strings.HasSuffix(value, "role/example") {
						continue // roles are in service accounts
					}
					// The application sets its own region.
					if value != "eu-west-1" && strings.Contains(yaml, value) || !strings.Contains(yaml, fmt.Sprintf("changed-%d", i)) {
						t.Errorf("%s: %s does not come from %s", folder, value, tt.file)
					}
				}
			}
		})
	}
}

// A platform team's kustomization gives inject its settings: from a ConfigMap in any
// namespace, or from a generator, which may change one. In an overlay of such a kustomization
// that is too late, and fails.
func TestInjectSettings(t *testing.T) {
	const components = "components: [../inject]\n"
	const merged = "configMapGenerator: [{name: irsa-sidecar, behavior: merge, literals: [image=a/b@sha256:0123]}]\n"
	for name, tt := range map[string]struct{ kustomization, image, region string }{
		"ConfigMap in a namespace":  {"resources: [settings.yaml]\n" + components, "an/image:v1", "eu-central-1"},
		"namespace of the overlay":  {"namespace: platform\nresources: [settings.yaml, ../guard]\n" + components, "an/image:v1", "eu-central-1"},
		"generator":                 {"namePrefix: x-\nconfigMapGenerator: [{name: irsa-sidecar, literals: [image=a/b:c, region=us-west-2]}]\n" + components, "a/b:c", "us-west-2"},
		"changed by a generator":    {"resources: [../examples/settings]\n" + merged + components, "a/b@sha256:0123", "eu-west-1"},
		"changed after the example": {"resources: [../examples/inject]\n" + merged, "", ""},
		"no ConfigMap":              {components, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			overlay := filepath.Join(copyDeploy(t), "overlay")
			write(t, filepath.Join(overlay, "settings.yaml"), strings.Replace(settings, "name: irsa-sidecar", "name: irsa-sidecar, namespace: team", 1))
			write(t, filepath.Join(overlay, "kustomization.yaml"), tt.kustomization)
			if tt.image == "" {
				_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
				if err == nil || !strings.Contains(err.Error(), "irsa-sidecar") {
					t.Errorf("got error %v, want one that names the ConfigMap", err)
				}
				return
			}
			for _, object := range build(t, overlay) {
				switch o := object.(type) {
				case *admissionregistration.MutatingAdmissionPolicy:
					if image, region := o.Spec.Variables[0].Expression, o.Spec.Variables[1].Expression; image != fmt.Sprintf("%q", tt.image) || region != fmt.Sprintf("%q", tt.region) {
						t.Errorf("the policy has image %s and region %s, want %s and %s", image, region, tt.image, tt.region)
					}
				case *core.ConfigMap:
					t.Errorf("the ConfigMap %s is applied", o.Name)
				}
			}
		})
	}
}

// The output of every folder matches the Kubernetes schemas.
func TestSchemas(t *testing.T) {
	files, err := filepath.Glob(root + "/*/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob(root + "/examples/*/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	built := 0
	for _, file := range append(files, examples...) {
		dir := filepath.Dir(file)
		if name := filepath.Base(dir); name == "component" || dir == root+"/inject" || dir == root+"/settings" || name == "monitoring" { // a Component is not applied; monitoring has tests of its own
			continue
		}
		built++
		t.Run(dir, func(t *testing.T) {
			if len(build(t, dir)) == 0 && !strings.HasSuffix(dir, "settings") {
				t.Error("no objects")
			}
		})
	}
	if built < 9 {
		t.Errorf("only %d folders", built)
	}
}

// The YAML in the documents matches the Component's output.
func TestDocuments(t *testing.T) {
	documented, ok := decode(t, documented(t, "pod")).(*core.Pod)
	if !ok {
		t.Fatal("the documents have no pod")
	}
	component := example(t, "without-webhook")
	if pod := documented.Spec; len(pod.InitContainers) != 1 || !equality.Semantic.DeepEqual(pod.InitContainers, component.Spec.InitContainers) {
		t.Errorf("the documents have the sidecar\n%v\nthe Component produces\n%v", pod.InitContainers, component.Spec.InitContainers)
	}
	if !equality.Semantic.DeepEqual(documented.Spec.Volumes, component.Spec.Volumes) {
		t.Errorf("the documents have the volumes\n%v\nthe Component produces\n%v", documented.Spec.Volumes, component.Spec.Volumes)
	}
	delete(component.Labels, "app")
	if !maps.Equal(documented.Labels, component.Labels) {
		t.Errorf("the documents have the labels %v, the Component produces %v", documented.Labels, component.Labels)
	}
	checkDocumentedEnv(t, documented.Spec, component.Spec)
}

func TestDocumentedEndpoints(t *testing.T) {
	text := "apiVersion: v1\nkind: Pod\n" + string(documented(t, "link-local"))
	documented, ok := decode(t, []byte(text)).(*core.Pod)
	if !ok || len(documented.Spec.InitContainers) != 2 {
		t.Fatalf("the documents have %v", documented)
	}
	component := example(t, "endpoints").Spec
	if got, want := documented.Spec.InitContainers[0], component.InitContainers[0]; !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("the documents have the init container\n%v\nthe Component produces\n%v", got, want)
	}
	if got, want := documented.Spec.SecurityContext, component.SecurityContext; !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("the documents have the security context %v, the Component produces %v", got, want)
	}
	// The documents show only what endpoints add.
	plain := example(t, "without-webhook").Spec
	sidecar := documented.Spec.InitContainers[1]
	sidecar.Env = append(plain.InitContainers[0].Env, sidecar.Env...)
	if got, want := environment(sidecar), environment(component.InitContainers[1]); !maps.Equal(got, want) {
		t.Errorf("with the documents' variables the sidecar has %v, the Component produces %v", got, want)
	}
	documented.Spec.Containers[0].Env = append(plain.Containers[0].Env, documented.Spec.Containers[0].Env...)
	checkDocumentedEnv(t, documented.Spec, component)
}

func checkDocumentedEnv(t *testing.T, documented, component core.PodSpec) {
	t.Helper()
	got, want := environment(documented.Containers[0]), environment(component.Containers[0])
	for _, env := range []map[string]string{got, want} {
		delete(env, "AWS_STS_REGIONAL_ENDPOINTS") // only with the annotation irsa-sidecar/set-region
	}
	if !maps.Equal(got, want) {
		t.Errorf("the documents have the variables %v, the Component produces %v", got, want)
	}
}

// The guard and the documents know the annotations from which the sidecar gets settings.
func TestSettingsByAnnotation(t *testing.T) {
	annotations := 0
	for _, e := range example(t, "without-webhook").Spec.InitContainers[0].Env {
		if e.ValueFrom == nil {
			continue
		}
		annotations++
		path := e.ValueFrom.FieldRef.FieldPath
		name := strings.TrimSuffix(strings.TrimPrefix(path, "metadata.annotations['irsa-sidecar/"), "']")
		for file, want := range map[string]string{
			root + "/guard/workloads.yaml": fmt.Sprintf("%q", name),
			"../../docs/install.md":        fmt.Sprintf("| `irsa-sidecar/%s` | `%s` |", name, e.Name),
		} {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), want) {
				t.Errorf("%s does not have %s", file, want)
			}
		}
	}
	if annotations == 0 {
		t.Error("the sidecar gets no settings from annotations")
	}
}

// documented returns the YAML of a generated section of the documents.
func documented(t *testing.T, section string) []byte {
	t.Helper()
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../deploy/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(b), "<!-- "+section+": generated -->\n```yaml\n")
			if text, _, ok := strings.Cut(rest, "```"); ok {
				return []byte(text)
			}
		}
	}
	t.Fatalf("no document has the section %s", section)
	return nil
}

// example returns the pod template of an example.
func example(t *testing.T, name string) *core.PodTemplateSpec {
	t.Helper()
	for _, object := range build(t, filepath.Join(root, "examples", name)) {
		if _, pod := template(object); pod != nil {
			return pod
		}
	}
	t.Fatalf("example %s has no workload", name)
	return nil
}

// Every policy has a binding. namePrefix and nameSuffix rename it there too. A binding that names no
// policy does nothing, silently.
func TestRenamed(t *testing.T) {
	dir := copyDeploy(t)
	overlay := filepath.Join(dir, "overlay")
	write(t, filepath.Join(overlay, "kustomization.yaml"), "namePrefix: a-\nnameSuffix: -b\nresources: [../examples/inject]\n")
	policies, bindings := map[string]bool{}, map[string]string{} // by kind and name; the policy of each binding
	for _, object := range build(t, overlay) {
		switch o := object.(type) {
		case *admissionregistration.ValidatingAdmissionPolicy:
			policies["validating "+o.Name] = true
		case *admissionregistration.MutatingAdmissionPolicy:
			policies["mutating "+o.Name] = true
		case *admissionregistration.ValidatingAdmissionPolicyBinding:
			bindings["validating "+o.Name] = "validating " + o.Spec.PolicyName
		case *admissionregistration.MutatingAdmissionPolicyBinding:
			bindings["mutating "+o.Name] = "mutating " + o.Spec.PolicyName
		}
	}
	bound := map[string]bool{}
	for binding, policy := range bindings {
		if !policies[policy] {
			t.Errorf("the binding %s is for the policy %s, which does not exist", binding, policy)
		}
		bound[policy] = true
	}
	if len(policies) < 5 || !maps.Equal(policies, bound) || !policies["mutating a-irsa-sidecar-b"] {
		t.Errorf("the bindings are for the policies %v, want %v, renamed", bound, policies)
	}
}
