package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	disruption "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
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

func decode(t *testing.T, yaml []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{core.AddToScheme, apps.AddToScheme, batch.AddToScheme, admissionregistration.AddToScheme, disruption.AddToScheme, rbac.AddToScheme} {
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

// environment returns a container's variables: their values, or the paths of fields.
func environment(c core.Container) map[string]string {
	values := map[string]string{}
	for _, e := range c.Env {
		values[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			values[e.Name] = e.ValueFrom.FieldRef.FieldPath
		}
	}
	return values
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
