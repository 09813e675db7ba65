package webhook

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitzero"`
}

// patch returns the JSON patch from before to after, two objects whose metadata and spec are
// objects. It replaces each field of those two as a whole.
func patch(before, after map[string]any) ([]byte, error) {
	operations := []operation{}
	for _, part := range []string{"metadata", "spec"} {
		old, _ := before[part].(map[string]any)
		new, _ := after[part].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(new)) {
			if !reflect.DeepEqual(old[key], new[key]) {
				operations = append(operations, operation{"add", "/" + part + "/" + escape.Replace(key), new[key]})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(old)) {
			if _, ok := new[key]; !ok && old[key] != nil {
				operations = append(operations, operation{Op: "remove", Path: "/" + part + "/" + escape.Replace(key)})
			}
		}
	}
	return json.Marshal(operations)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
