//go:build e2e

// Package e2e tests the injector on the cluster that KUBECONFIG names: ./run says how.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

// api is the API server's URL for plain HTTP.
var api string

func TestMain(m *testing.M) {
	proxy := exec.Command("kubectl", "proxy", "--port=0")
	output, err := proxy.StdoutPipe()
	if err == nil {
		err = proxy.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	_, address, _ := strings.Cut(strings.TrimSpace(line), "Starting to serve on ")
	api = "http://" + address
	status := m.Run()
	proxy.Process.Kill()
	proxy.Wait()
	os.Exit(status)
}

// kubectl fails the test if kubectl fails.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kubectl", args...)
	command.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// until calls check until it returns nil.
func until(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("after %s: %v", limit, err)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// create returns what the API server would create, without what differs each time, or its
// refusal.
func create(s shapes.Shape) (pod map[string]any, refusal string) {
	request, err := http.NewRequest(http.MethodPost, api+"/api/v1/namespaces/"+s.Namespace+"/pods?dryRun=All", strings.NewReader(s.Pod))
	if err != nil {
		return nil, err.Error()
	}
	request.Header.Set("Content-Type", "application/yaml")
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err.Error()
	}
	if response.StatusCode != http.StatusCreated {
		var status struct{ Message string }
		json.Unmarshal(body, &status)
		return nil, fmt.Sprintf("%d %s", response.StatusCode, status.Message)
	}
	decoder := json.NewDecoder(bytes.NewReader(apiAccess.ReplaceAll(body, []byte("kube-api-access"))))
	decoder.UseNumber()
	if err := decoder.Decode(&pod); err != nil {
		return nil, err.Error()
	}
	metadata := pod["metadata"].(map[string]any)
	for _, key := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion", "generation"} {
		delete(metadata, key)
	}
	if metadata["generateName"] != nil {
		delete(metadata, "name")
	}
	delete(pod, "status")
	return pod, ""
}

var apiAccess = regexp.MustCompile(`kube-api-access-\w{5}`)

// record is one shape in the golden file.
type record struct {
	Before  map[string]any `json:"before"`          // without the policy
	After   map[string]any `json:"after,omitempty"` // with it
	Refusal string         `json:"refusal,omitempty"`
}

const goldenFile = "../policy/testdata/golden.json"

func readGolden(t *testing.T) map[string]record {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]record{}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// writeGolden writes one line per shape.
func writeGolden(t *testing.T, golden map[string]record) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, s := range shapes.All() {
		line, err := json.Marshal(golden[s.Name])
		if err != nil {
			t.Fatal(err)
		}
		comma := ","
		if i == len(shapes.All())-1 {
			comma = ""
		}
		fmt.Fprintf(&b, "%q: %s%s\n", s.Name, line, comma)
	}
	b.WriteString("}\n")
	if err := os.MkdirAll(filepath.Dir(goldenFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// canonical returns JSON with sorted keys.
func canonical(t *testing.T, r record) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// apply applies a kustomization in a new directory next to a copy of deploy.
func apply(t *testing.T, kustomization string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(kustomization), 0o644); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "", "apply", "-k", overlay)
}
