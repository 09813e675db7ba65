package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The commands of README's quick start produce a workload with the sidecar.
func TestQuickStart(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```sh\n")
	script, _, ok := strings.Cut(rest, "```")
	script, applies := strings.CutSuffix(script, "kubectl apply -k my-app\n")
	if !ok || !applies {
		t.Fatal("README has no commands that end with kubectl apply -k my-app")
	}
	dir := filepath.Dir(copyDeploy(t))
	app, err := os.ReadFile(root + "/examples/app/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "my-app", "deployment.yaml"), string(app))
	command := exec.Command("sh", "-e", "-c", script)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	found := false
	for _, object := range build(t, filepath.Join(dir, "my-app")) {
		if _, pod := template(object); pod != nil {
			found = len(pod.Spec.InitContainers) == 1 && pod.Spec.InitContainers[0].Name == "irsa-sidecar"
		}
	}
	if !found {
		t.Error("the workload has no sidecar")
	}
}
