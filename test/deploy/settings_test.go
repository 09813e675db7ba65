package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// withSettings builds a kustomization next to the others, with more keys in its ConfigMap.
func withSettings(t *testing.T, keys, kustomization string) ([]runtime.Object, error) {
	t.Helper()
	overlay := filepath.Join(copyDeploy(t), "overlay")
	write(t, filepath.Join(overlay, "settings.yaml"), strings.Replace(settings, "\ndata: {", "\ndata: {"+keys, 1))
	write(t, filepath.Join(overlay, "workloads.yaml"), annotated("ecs"))
	write(t, filepath.Join(overlay, "kustomization.yaml"), kustomization)
	if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay); err != nil {
		return nil, err
	}
	return build(t, overlay), nil
}

// Every optional key has a default, and reaches its place in the policy.
func TestSettingsOfInject(t *testing.T) {
	defaults := map[string]string{
		"cpu-request": "10m", "cpu-limit": "none", "memory-request": "32Mi", "memory-limit": "64Mi",
		"ephemeral-storage-request": "none", "ephemeral-storage-limit": "none",
		"uid": "9911", "gid": "9911", "image-pull-policy": "none", "startup": "probe",
	}
	changed := map[string]string{}
	var keys strings.Builder
	for i, key := range slices.Sorted(maps.Keys(defaults)) {
		for file, text := range map[string]string{
			root + "/guard/workloads.yaml": key + `"`, root + "/guard/requests.yaml": key + `"`, root + "/guard/service-account.yaml": key + `"`,
			"../../docs/install.md": "`irsa-sidecar/" + key + "`",
		} {
			if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), text) {
				t.Errorf("%s does not have %s: %v", file, text, err)
			}
		}
		changed[key] = fmt.Sprintf("changed-%d", i)
		keys.WriteString(fmt.Sprintf("%s: %s, ", key, changed[key]))
	}
	for _, tt := range []struct {
		name, keys string
		want       map[string]string
		env        string
	}{
		{"defaults", "", defaults, "r''''''"},
		{"changed", keys.String() + `env: "A=b,c\nD='\"'\n", `, changed, "r'''A=b,c\nD='\"'\n'''"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects, err := withSettings(t, tt.keys, "resources: [settings.yaml]\ncomponents: [../inject]\n")
			if err != nil {
				t.Fatal(err)
			}
			variables := map[string]string{}
			for _, object := range objects {
				if policy, ok := object.(*admissionregistration.MutatingAdmissionPolicy); ok {
					for _, v := range policy.Spec.Variables {
						variables[v.Name] = v.Expression
					}
				}
			}
			got := map[string]string{} // the CEL is JSON, too
			if err := json.Unmarshal([]byte(variables["defaults"]), &got); err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("the policy has the defaults %v, %v, want %v", got, err, tt.want)
			}
			if variables["env"] != tt.env {
				t.Errorf("the policy has the variables %q, want %q", variables["env"], tt.env)
			}
		})
	}
}

// The policies of inject and guard look at the namespaces that the ConfigMap says, and its
// warnings can become refusals. Nothing else changes, and other policies stay as they are.
func TestSettingsOfGuard(t *testing.T) {
	const own = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: own}\nspec: {matchConstraints: {namespaceSelector: {matchLabels: {a: b}}}}\n"
	for name, kustomization := range map[string]string{
		"guard alone":      "resources: [../guard, settings.yaml, own.yaml]\ncomponents: [../guard/settings]\n",
		"guard and inject": "resources: [../guard, settings.yaml, own.yaml]\ncomponents: [../inject]\n",
	} {
		t.Run(name, func(t *testing.T) {
			plain := policies(t, "", "resources: [../guard, settings.yaml]\ncomponents: [../inject]\n")
			overlay := filepath.Join(copyDeploy(t), "overlay")
			write(t, filepath.Join(overlay, "own.yaml"), own)
			write(t, filepath.Join(overlay, "settings.yaml"), strings.Replace(settings, "\ndata: {", "\ndata: {namespace-label: example.com/a, warnings: Deny, ", 1))
			write(t, filepath.Join(overlay, "kustomization.yaml"), kustomization)
			seen := 0
			for _, object := range build(t, overlay) {
				if object.(meta.Object).GetName() == "own" {
					continue
				}
				seen++
				checkChanged(t, object, plain[fmt.Sprintf("%T %s", object, object.(meta.Object).GetName())])
			}
			if want := len(plain) - 4*strings.Count(name, "alone"); seen != want {
				t.Errorf("%d objects, want %d", seen, want)
			}
		})
	}
}

func checkChanged(t *testing.T, object, plain runtime.Object) {
	t.Helper()
	every := &meta.LabelSelector{MatchExpressions: []meta.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: meta.LabelSelectorOpExists}}}
	some := &meta.LabelSelector{MatchExpressions: []meta.LabelSelectorRequirement{{Key: "example.com/a", Operator: meta.LabelSelectorOpExists}}}
	change := func(constraints *admissionregistration.MatchResources) {
		if !equality.Semantic.DeepEqual(constraints.NamespaceSelector, every) {
			t.Errorf("without the key the selector is %v", constraints.NamespaceSelector)
		}
		constraints.NamespaceSelector = some
	}
	switch o := plain.(type) {
	case *admissionregistration.MutatingAdmissionPolicy:
		change(o.Spec.MatchConstraints)
	case *admissionregistration.ValidatingAdmissionPolicy:
		change(o.Spec.MatchConstraints)
	case *admissionregistration.ValidatingAdmissionPolicyBinding:
		if o.Name == "irsa-sidecar-warnings" {
			if !slices.Equal(o.Spec.ValidationActions, []admissionregistration.ValidationAction{"Warn"}) {
				t.Errorf("without the key the actions are %v", o.Spec.ValidationActions)
			}
			o.Spec.ValidationActions = []admissionregistration.ValidationAction{"Deny"}
		}
	}
	if !equality.Semantic.DeepEqual(object, plain) {
		t.Errorf("%T is\n%v\nwant\n%v", object, object, plain)
	}
}

// policies returns the objects of a kustomization by type and name.
func policies(t *testing.T, keys, kustomization string) map[string]runtime.Object {
	t.Helper()
	objects, err := withSettings(t, keys, kustomization)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]runtime.Object{}
	for _, object := range objects {
		all[fmt.Sprintf("%T %s", object, object.(meta.Object).GetName())] = object
	}
	return all
}

// Every optional key reaches the containers that the Component adds.
func TestSettingsOfComponent(t *testing.T) {
	const kustomization = "resources: [settings.yaml, workloads.yaml]\ncomponents: [../component]\n"
	quantities := func(cpu, memory, storage string) (list core.ResourceList) {
		list = core.ResourceList{}
		for name, value := range map[core.ResourceName]string{"cpu": cpu, "memory": memory, "ephemeral-storage": storage} {
			if value != "" {
				list[name] = resource.MustParse(value)
			}
		}
		return list
	}
	for _, tt := range []struct {
		name, keys       string
		requests, limits core.ResourceList
		uid, gid         int64
		pullPolicy       core.PullPolicy
	}{
		{"defaults", "", quantities("10m", "32Mi", ""), quantities("", "64Mi", ""), 9911, 9911, ""},
		{"all", `cpu-request: 1m, cpu-limit: 1, memory-request: 33Mi, memory-limit: 44Mi, ephemeral-storage-request: 5Mi, ephemeral-storage-limit: 6Mi,
			uid: "1000700911", gid: "0", image-pull-policy: Always,`, quantities("1m", "33Mi", "5Mi"), quantities("1", "44Mi", "6Mi"), 1000700911, 0, "Always"},
		{"none", "cpu-request: none, memory-request: none, memory-limit: none,", nil, nil, 9911, 9911, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects, err := withSettings(t, tt.keys, kustomization)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, object := range objects {
				name, pod := template(object)
				if name != "with" {
					continue
				}
				for _, c := range pod.Spec.InitContainers[:2] {
					seen++
					uid, gid := tt.uid, tt.gid
					if c.Name == "irsa-sidecar-link-local" {
						uid, gid = 0, 0
					}
					want := core.ResourceRequirements{Requests: tt.requests, Limits: tt.limits}
					if !equality.Semantic.DeepEqual(c.Resources, want) || *c.SecurityContext.RunAsUser != uid || *c.SecurityContext.RunAsGroup != gid || c.ImagePullPolicy != tt.pullPolicy {
						t.Errorf("%T, %s: resources %v, user %d, group %d, pull policy %q, want %v, %d, %d, %q", object, c.Name,
							c.Resources, *c.SecurityContext.RunAsUser, *c.SecurityContext.RunAsGroup, c.ImagePullPolicy, want, uid, gid, tt.pullPolicy)
					}
				}
			}
			if seen != 10 {
				t.Errorf("%d containers, want 10", seen)
			}
		})
	}
	for keys, want := range map[string]string{
		"env: A=b,":      "the key env is for deploy/inject; with deploy/component, patch the container irsa-sidecar",
		"startup: fast,": "the key startup is neither probe nor hook",
	} {
		if _, err := withSettings(t, keys, kustomization); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s got error %v, want %q", keys, err, want)
		}
	}
}

// The sidecar has a startup probe or a hook, as the ConfigMap says, and is otherwise the same.
func TestStartupOfComponent(t *testing.T) {
	pods := func(keys string) (all []*core.PodTemplateSpec) {
		objects, err := withSettings(t, keys, "resources: [settings.yaml, workloads.yaml]\ncomponents: [../component]\n")
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if name, pod := template(object); name == "with" {
				all = append(all, pod)
			}
		}
		return all
	}
	plain := pods("")
	if probe := pods("startup: probe,"); !equality.Semantic.DeepEqual(probe, plain) {
		t.Errorf("the default is not the probe: %v", probe)
	}
	hooked := pods("startup: hook,")
	for i, pod := range hooked {
		sidecar := &pod.Spec.InitContainers[1] // after link-local
		if sidecar.StartupProbe != nil || sidecar.Lifecycle == nil || sidecar.Lifecycle.PreStop != nil ||
			!slices.Equal(sidecar.Lifecycle.PostStart.Exec.Command, []string{"/sidecar", "ready", "--wait=5s"}) {
			t.Errorf("with the hook the sidecar is %v", sidecar)
		}
		sidecar.StartupProbe, sidecar.Lifecycle = plain[i].Spec.InitContainers[1].StartupProbe, nil
	}
	if len(plain) != 5 || !equality.Semantic.DeepEqual(hooked, plain) {
		t.Errorf("%d pods; with the hook they are\n%v\nwithout\n%v", len(plain), hooked, plain)
	}
}

// A platform team shares a Component, and each team or cluster has a ConfigMap.
func TestPlatform(t *testing.T) {
	sidecar := example(t, "platform").Spec.InitContainers[0]
	if sidecar.Image != "registry.example.com/irsa-sidecar:v0.1.0" || sidecar.ImagePullPolicy != core.PullAlways || sidecar.Resources.Limits.Cpu().String() != "20m" {
		t.Errorf("the platform's settings do not count: %v", sidecar)
	}
	if role := environment(sidecar)["AWS_ROLE_ARN"]; role != "arn:aws:iam::111122223333:role/example" {
		t.Errorf("the team's role does not count: %q", role)
	}
	overlay := filepath.Join(copyDeploy(t), "cluster")
	write(t, filepath.Join(overlay, "platform", "kustomization.yaml"), "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [../../guard]\ncomponents: [../../inject]\n")
	write(t, filepath.Join(overlay, "settings.yaml"), settings)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [settings.yaml]\ncomponents: [platform]\n")
	if yaml := buildYAML(t, overlay); !strings.Contains(yaml, `"an/image:v1"`) || !strings.Contains(yaml, "irsa-sidecar-workloads") || strings.Contains(yaml, "kind: ConfigMap") {
		t.Error("a cluster's ConfigMap does not count")
	}
}
