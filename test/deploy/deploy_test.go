// Package deploy checks the output of the kustomizations in deploy, without a cluster.
//
// It is a separate module so that the sidecar does not depend on Kubernetes packages.
package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const root = "../../deploy"

// build returns the objects that a kustomization produces. It decodes strictly: an
// unknown field is an error.
func build(t *testing.T, dir string) []runtime.Object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, resource := range built.Resources() {
		yaml, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, decode(t, yaml))
	}
	return objects
}

func decode(t *testing.T, yaml []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{core.AddToScheme, apps.AddToScheme, batch.AddToScheme, admissionregistration.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(yaml, nil, nil)
	if err != nil {
		t.Fatalf("%v:\n%s", err, yaml)
	}
	return object
}

// template returns a workload's name and pod template, or nil if the object is not a
// workload.
func template(object runtime.Object) (name string, pod *core.PodTemplateSpec) {
	switch o := object.(type) {
	case *apps.Deployment:
		return o.Name, &o.Spec.Template
	case *apps.StatefulSet:
		return o.Name, &o.Spec.Template
	case *apps.DaemonSet:
		return o.Name, &o.Spec.Template
	case *batch.Job:
		return o.Name, &o.Spec.Template
	case *batch.CronJob:
		return o.Name, &o.Spec.JobTemplate.Spec.Template
	}
	return "", nil
}

// copyDeploy returns a copy of deploy that a test may change.
func copyDeploy(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "deploy")
	if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Image, region and role are each set in one place only.
func TestSettings(t *testing.T) {
	tests := []struct {
		file    string // sets the values
		folders []string
		values  []string
	}{
		{
			file:    "examples/settings/irsa-sidecar.yaml",
			folders: []string{"examples/with-webhook", "examples/without-webhook", "examples/capability-path", "examples/authorization-token", "examples/endpoints", "examples/job"},
			values:  []string{"registry.example.com/irsa-sidecar:v0.1.0", "eu-west-1", "arn:aws:iam::111122223333:role/example"},
		},
		{
			file:    "inject/kustomization.yaml",
			folders: []string{"inject"},
			values:  []string{"registry.example.com/irsa-sidecar:v0.1.0", "eu-west-1"},
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
					// The application sets its own region.
					if value != "eu-west-1" && strings.Contains(yaml, value) || !strings.Contains(yaml, fmt.Sprintf("changed-%d", i)) {
						t.Errorf("%s: %s does not come from %s", folder, value, tt.file)
					}
				}
			}
		})
	}
}

// buildYAML returns the output of a kustomization as YAML.
func buildYAML(t *testing.T, dir string) string {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(yaml)
}

// workloads returns two workloads of every kind, one with the label and one without, and
// a labelled Service.
func workloads() string {
	var b strings.Builder
	for _, kind := range []string{"apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 Job", "batch/v1 CronJob"} {
		version, kind, _ := strings.Cut(kind, " ")
		template := "{template: {metadata: {labels: {app: x}}, spec: {volumes: null, initContainers: [{name: setup, image: setup}], containers: [{name: app, image: app, env: [{name: OWN, value: own}]}]}}}"
		if kind == "CronJob" {
			template = "{schedule: 0 0 * * *, jobTemplate: {spec: " + template + "}}"
		}
		fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata: {name: with, labels: {irsa-sidecar/inject: \"true\"}}\nspec: %s\n---\n", version, kind, template)
		fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata: {name: without, labels: {irsa-sidecar/inject: \"false\"}}\nspec: %s\n---\n", version, kind, template)
	}
	b.WriteString("apiVersion: v1\nkind: Service\nmetadata: {name: with, labels: {irsa-sidecar/inject: \"true\"}}\nspec: {selector: {app: x}}\n")
	return b.String()
}

const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: irsa-sidecar}
data: {image: "an/image:v1", region: eu-central-1, role: "arn:aws:iam::111122223333:role/a"}
`

func TestComponent(t *testing.T) {
	dir := copyDeploy(t)
	overlay := filepath.Join(dir, "overlay")
	write(t, filepath.Join(overlay, "workloads.yaml"), workloads())
	write(t, filepath.Join(overlay, "settings.yaml"), settings)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [workloads.yaml]\n")
	plain := build(t, overlay)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [settings.yaml, workloads.yaml]\ncomponents: [../component]\n")
	objects := build(t, overlay)
	if len(objects) != len(plain) {
		t.Errorf("%d objects, want %d as without the Component", len(objects), len(plain))
	}
	seen := 0
	for i, object := range objects {
		name, pod := template(object)
		if name != "with" {
			if !equality.Semantic.DeepEqual(object, plain[i]) {
				t.Errorf("%T %s has no label and was changed", object, name)
			}
			continue
		}
		seen++
		t.Run(fmt.Sprintf("%T", object), func(t *testing.T) { checkPod(t, pod) })
	}
	if seen != 5 {
		t.Errorf("%d workloads with the sidecar, want 5", seen)
	}
}

func checkPod(t *testing.T, pod *core.PodTemplateSpec) {
	t.Helper()
	if pod.Labels["irsa-sidecar/inject"] != "true" || pod.Labels["eks.amazonaws.com/skip-pod-identity-webhook"] != "true" || pod.Labels["app"] != "x" {
		t.Errorf("labels %v", pod.Labels)
	}
	sidecar := pod.Spec.InitContainers[0]
	want := map[string]string{
		"AWS_ROLE_ARN":                "arn:aws:iam::111122223333:role/a",
		"AWS_REGION":                  "eu-central-1",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/irsa-sidecar/token",
	}
	if got := environment(sidecar); sidecar.Name != "irsa-sidecar" || sidecar.Image != "an/image:v1" || !maps.Equal(got, want) {
		t.Errorf("the first init container is %s with image %s and variables %v", sidecar.Name, sidecar.Image, got)
	}
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Error("the sidecar is not a native sidecar")
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers[1:]), pod.Spec.Containers...) {
		want := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9911/v1/credentials", "AWS_EC2_METADATA_DISABLED": "true"}
		if c.Name == "app" {
			want["OWN"] = "own"
		}
		if got := environment(c); !maps.Equal(got, want) || len(c.VolumeMounts) > 0 {
			t.Errorf("container %s has variables %v and mounts %v", c.Name, got, c.VolumeMounts)
		}
	}
	if len(pod.Spec.InitContainers) != 2 || len(pod.Spec.Containers) != 1 || len(pod.Spec.Volumes) != 1 {
		t.Errorf("%d init containers, %d containers, %d volumes", len(pod.Spec.InitContainers), len(pod.Spec.Containers), len(pod.Spec.Volumes))
	}
}

func environment(c core.Container) map[string]string {
	values := map[string]string{}
	for _, e := range c.Env {
		values[e.Name] = e.Value
	}
	return values
}

// A kustomization can include two others that use the Component with different roles.
func TestComponentsTogether(t *testing.T) {
	dir := copyDeploy(t)
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name, "all.yaml"), strings.Replace(settings+"---\n"+workloads(), "role/a", "role/"+name, 1))
		write(t, filepath.Join(dir, name, "kustomization.yaml"), "namePrefix: "+name+"-\nresources: [all.yaml]\ncomponents: [../component]\n")
	}
	write(t, filepath.Join(dir, "both", "kustomization.yaml"), "resources: [../a, ../b]\n")
	roles := map[string]int{}
	for _, object := range build(t, filepath.Join(dir, "both")) {
		if _, pod := template(object); pod != nil && pod.Spec.InitContainers[0].Name == "irsa-sidecar" {
			roles[environment(pod.Spec.InitContainers[0])["AWS_ROLE_ARN"]]++
		}
	}
	if want := map[string]int{"arn:aws:iam::111122223333:role/a": 5, "arn:aws:iam::111122223333:role/b": 5}; !maps.Equal(roles, want) {
		t.Errorf("workloads by role: %v, want %v", roles, want)
	}
}

// Without the settings, or with one of them missing, kustomize fails.
func TestComponentWithoutSettings(t *testing.T) {
	for name, text := range map[string]string{
		"no ConfigMap": "",
		"no role":      strings.Replace(settings, "role: ", "rule: ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDeploy(t)
			overlay := filepath.Join(dir, "overlay")
			write(t, filepath.Join(overlay, "all.yaml"), workloads()+"---"+text)
			write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [all.yaml]\ncomponents: [../component]\n")
			_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
			if err == nil || !strings.Contains(err.Error(), "irsa-sidecar") {
				t.Errorf("got error %v, want one that names the ConfigMap irsa-sidecar", err)
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
		if name := filepath.Base(dir); name == "component" || name == "monitoring" { // a Component is not applied; test/monitoring checks monitoring
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

// The pod in README matches the Component's output.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("README has no YAML")
	}
	var readme, component core.PodSpec
	if object, ok := decode(t, []byte(text)).(*core.Pod); ok {
		readme = object.Spec
	}
	for _, object := range build(t, root+"/examples/without-webhook") {
		if _, pod := template(object); pod != nil {
			component = pod.Spec
		}
	}
	if len(readme.InitContainers) != 1 || !equality.Semantic.DeepEqual(readme.InitContainers, component.InitContainers) {
		t.Errorf("README has the sidecar\n%v\nthe Component produces\n%v", readme.InitContainers, component.InitContainers)
	}
	if !equality.Semantic.DeepEqual(readme.Volumes, component.Volumes) {
		t.Errorf("README has the volumes\n%v\nthe Component produces\n%v", readme.Volumes, component.Volumes)
	}
	got, want := environment(readme.Containers[0]), environment(component.Containers[0])
	delete(want, "AWS_DEFAULT_REGION")
	if !maps.Equal(got, want) {
		t.Errorf("README has the variables %v, the Component produces %v", got, want)
	}
}
