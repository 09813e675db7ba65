//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The policies have every field that the API server would set. TestPrometheus checks the
// same of deploy/monitoring.
func TestNoDrift(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"inject", "guard"} {
		t.Run(part, func(t *testing.T) { checkNoDrift(t, filepath.Join(shared.deploy, ours, part)) })
	}
}

// checkUnchanged checks that applying a kustomization again changes nothing.
func checkUnchanged(t testing.TB, dir string) {
	t.Helper()
	out, err := kubectl(t.Context(), "", "apply", "-k", dir)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, " unchanged\n") {
			t.Errorf("kubectl apply -k again: %s", line)
		}
	}
}

// checkNoDrift checks that applying a kustomization again changes nothing, and that the
// API server adds nothing to its objects: a GitOps tool compares them with the files.
func checkNoDrift(t testing.TB, dir string) {
	t.Helper()
	checkUnchanged(t, dir)
	files := objects(t, "create", "-k", dir, "--dry-run=client", "-o", "json")
	applied := objects(t, "apply", "-k", dir, "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json")
	if len(files) == 0 || len(files) != len(applied) {
		t.Fatalf("%d objects in the files, %d applied", len(files), len(applied))
	}
	for name, want := range files {
		for _, d := range differences("", applied[name], want) {
			t.Errorf("%s%s", name, d)
		}
	}
	if !t.Failed() {
		t.Logf("proved: the API server adds nothing to %d objects", len(files))
	}
}

// differences returns the fields in which a value of the API server differs from that of a
// file.
func differences(path string, got, want any) (all []string) {
	g, isMap := got.(map[string]any)
	w, wantsMap := want.(map[string]any)
	if isMap && wantsMap {
		for key := range w {
			all = append(all, differences(path+"."+key, g[key], w[key])...)
		}
		for key := range g {
			if _, ok := w[key]; !ok {
				all = append(all, fmt.Sprintf("%s.%s: the API server adds %s", path, key, pretty(g[key])))
			}
		}
		return all
	}
	if !reflect.DeepEqual(got, want) {
		all = append(all, fmt.Sprintf("%s: the API server has %s, the file %s", path, pretty(got), pretty(want)))
	}
	return all
}

// objects returns the objects that a kubectl command prints, by kind and name, without
// metadata and status.
func objects(t testing.TB, args ...string) map[string]map[string]any {
	t.Helper()
	out, err := kubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(out))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		items := []map[string]any{object}
		if object["kind"] == "List" {
			items = list(object, "items")
		}
		for _, item := range items {
			name := item["kind"].(string) + " " + item["metadata"].(map[string]any)["name"].(string)
			delete(item, "metadata")
			delete(item, "status")
			all[name] = item
		}
	}
}
