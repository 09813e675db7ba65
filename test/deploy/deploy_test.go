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

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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

// The pod in docs/install.md matches the Component's output.
func TestInstallDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/install.md has no YAML")
	}
	var document, component core.PodSpec
	if object, ok := decode(t, []byte(text)).(*core.Pod); ok {
		document = object.Spec
	}
	for _, object := range build(t, root+"/examples/without-webhook") {
		if _, pod := template(object); pod != nil {
			component = pod.Spec
		}
	}
	if len(document.InitContainers) != 1 || !equality.Semantic.DeepEqual(document.InitContainers, component.InitContainers) {
		t.Errorf("docs/install.md has the sidecar\n%v\nthe Component produces\n%v", document.InitContainers, component.InitContainers)
	}
	if !equality.Semantic.DeepEqual(document.Volumes, component.Volumes) {
		t.Errorf("docs/install.md has the volumes\n%v\nthe Component produces\n%v", document.Volumes, component.Volumes)
	}
	got, want := environment(document.Containers[0]), environment(component.Containers[0])
	delete(want, "AWS_DEFAULT_REGION")
	if !maps.Equal(got, want) {
		t.Errorf("docs/install.md has the variables %v, the Component produces %v", got, want)
	}
}
