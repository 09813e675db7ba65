//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// appEnv has the variables that every container gets.
var appEnv = map[string]string{
	"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9911/v1/credentials",
	"AWS_EC2_METADATA_DISABLED":          "true",
}

// regionEnv has the groups of variables that a container gets if it has none of the group.
var regionEnv = [][][2]string{
	{{"AWS_REGION", "eu-west-1"}, {"AWS_DEFAULT_REGION", "eu-west-1"}},
	{{"AWS_STS_REGIONAL_ENDPOINTS", "regional"}},
}

// The policy adds the sidecar and the variables, and changes nothing else.
func TestPolicyOnShapes(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount())
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			before := n.admit(t, "false", s)
			after := n.admit(t, "true", s)
			checkPlacement(t, after)
			checkAppEnv(t, before, after)
			if got, want := remainder(after), remainder(before); !reflect.DeepEqual(got, want) {
				t.Errorf("except for the additions the pod is\n%s\nwant\n%s", pretty(got), pretty(want))
			}
			t.Log("proved: sidecar first, variables in every other container, nothing else changed")
		})
	}
}

// admit returns the spec of the pod that the API server would create with that label.
func (n *namespace) admit(t *testing.T, label string, s shape) map[string]any {
	t.Helper()
	answer, err := n.dryRun(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {irsa-sidecar/inject: %q}}
spec:
  serviceAccountName: example
%s`, label, s.yaml("  ")))
	if err != nil {
		t.Fatal(err)
	}
	var p pod
	if err := json.Unmarshal([]byte(answer.object), &p); err != nil {
		t.Fatal(err)
	}
	return p.Spec
}

// checkPlacement checks that the first init container is the sidecar, a native one, and
// that no other container mounts the token.
func checkPlacement(t *testing.T, spec map[string]any) {
	t.Helper()
	inits := list(spec, "initContainers")
	if len(inits) == 0 || inits[0]["name"] != "irsa-sidecar" || inits[0]["restartPolicy"] != "Always" {
		t.Fatalf("the first init container is not the sidecar: %s", pretty(inits))
	}
	for _, c := range append(inits, list(spec, "containers")...) {
		for _, m := range list(c, "volumeMounts") {
			if m["name"] == "irsa-sidecar-token" && c["name"] != "irsa-sidecar" {
				t.Errorf("container %s mounts the token", c["name"])
			}
		}
	}
}

// checkAppEnv checks that every container except the sidecar has each variable once, in
// place of an existing one.
func checkAppEnv(t *testing.T, before, after map[string]any) {
	t.Helper()
	for _, kind := range []string{"containers", "initContainers"} {
		had := list(before, kind)
		has := slices.DeleteFunc(list(after, kind), func(c map[string]any) bool { return c["name"] == "irsa-sidecar" })
		if len(had) != len(has) {
			t.Fatalf("%d %s, want %d", len(has), kind, len(had))
		}
		for i, c := range has {
			var want []map[string]any
			missing := maps.Clone(appEnv)
			for _, e := range list(had[i], "env") {
				if value, ok := appEnv[e["name"].(string)]; ok {
					e = map[string]any{"name": e["name"], "value": value}
					delete(missing, e["name"].(string))
				}
				want = append(want, e)
			}
			for _, name := range slices.Sorted(maps.Keys(missing)) {
				want = append(want, map[string]any{"name": name, "value": missing[name]})
			}
			for _, group := range regionEnv {
				if slices.ContainsFunc(want, func(e map[string]any) bool { return e["name"] == group[0][0] || e["name"] == group[len(group)-1][0] }) {
					continue
				}
				for _, v := range group {
					want = append(want, map[string]any{"name": v[0], "value": v[1]})
				}
			}
			if got := list(c, "env"); !reflect.DeepEqual(got, want) {
				t.Errorf("container %s has variables\n%s\nwant\n%s", c["name"], pretty(got), pretty(want))
			}
		}
	}
}

// remainder returns a pod's spec without the additions.
func remainder(spec map[string]any) map[string]any {
	spec = normal(spec)
	drop := func(of map[string]any, key string, added func(map[string]any) bool) {
		kept := []any{}
		for _, item := range list(of, key) {
			if !added(item) {
				kept = append(kept, item)
			}
		}
		of[key] = kept
	}
	drop(spec, "initContainers", func(c map[string]any) bool { return c["name"] == "irsa-sidecar" })
	drop(spec, "volumes", func(v map[string]any) bool { return v["name"] == "irsa-sidecar-token" })
	for _, c := range append(list(spec, "initContainers"), list(spec, "containers")...) {
		drop(c, "env", func(e map[string]any) bool {
			_, ok := appEnv[e["name"].(string)]
			return ok || strings.Contains(fmt.Sprint(regionEnv), e["name"].(string)) // checkAppEnv checks their values
		})
	}
	return spec
}

// normal returns a copy of a pod's spec without the fields that differ between pods and
// those that only the tests add.
func normal(spec map[string]any) map[string]any {
	text := regexp.MustCompile(`kube-api-access-\w{5}`).ReplaceAllString(pretty(spec), "kube-api-access")
	var copied map[string]any
	if err := json.Unmarshal([]byte(text), &copied); err != nil {
		panic(err)
	}
	for _, name := range []string{"nodeName", "hostname", "affinity"} {
		delete(copied, name) // set for StatefulSet and DaemonSet
	}
	// The position of the API server's own volume varies.
	slices.SortFunc(slice(copied["volumes"]), func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	for _, c := range list(copied, "initContainers") {
		env := []any{}
		for _, e := range list(c, "env") {
			if e["name"] != "AWS_ENDPOINT_URL_STS" {
				env = append(env, e)
			}
		}
		c["env"] = env
	}
	return copied
}

func list(of map[string]any, key string) (items []map[string]any) {
	for _, item := range slice(of[key]) {
		items = append(items, item.(map[string]any))
	}
	return items
}

// slice returns v, or nil if it is not a slice.
func slice(v any) []any {
	l, _ := v.([]any)
	return l
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}
