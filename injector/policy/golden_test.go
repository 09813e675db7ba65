package policy

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"irsa-sidecar/injector/shapes"
)

// The API server's own evaluation of the policy, recorded by injector/e2e, is what this
// package makes of the same pods.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Before, After json.RawMessage
		Refusal       string
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	p, err := LoadDirectory(dir, Settings{"image": shapes.Image, "region": "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	all := shapes.All()
	if len(golden) != len(all) {
		t.Errorf("%d shapes are recorded, of %d: see injector/e2e", len(golden), len(all))
	}
	injected := 0
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			recorded := golden[s.Name]
			before, after := &unstructured.Unstructured{}, &unstructured.Unstructured{}
			if err := before.UnmarshalJSON(recorded.Before); err != nil {
				t.Fatalf("not recorded: see injector/e2e: %v", err)
			}
			if recorded.Refusal == "" {
				if err := after.UnmarshalJSON(recorded.After); err != nil {
					t.Fatal(err)
				}
			}
			namespace, account := objectsOf(t, s.Namespace, before)
			got, err := p.Apply(t.Context(), Request{Pod: before, Namespace: namespace, Account: account})
			if err != nil {
				t.Fatal(err)
			}
			if got != before {
				injected++
				setDefaults(got)
			}
			if recorded.Refusal != "" {
				if got == before {
					t.Errorf("unchanged, although the API server refuses what the policy makes of it: %s", recorded.Refusal)
				}
				return
			}
			if !reflect.DeepEqual(got.Object, after.Object) {
				t.Errorf("the pod is\n%s\nwant\n%s", text(t, got), text(t, after))
			}
		})
	}
	if injected < 40 {
		t.Errorf("only %d of %d pods have the sidecar", injected, len(all))
	}
}

// objectsOf returns the namespace and the service account of a pod.
func objectsOf(t *testing.T, namespace string, pod *unstructured.Unstructured) (*corev1.Namespace, *corev1.ServiceAccount) {
	t.Helper()
	name, _, _ := unstructured.NestedString(pod.Object, "spec", "serviceAccountName")
	n, a := &corev1.Namespace{}, &corev1.ServiceAccount{}
	if name == "default" { // every namespace has it
		a.Name, a.Namespace = name, namespace
	}
	for document := range strings.SplitSeq(shapes.Objects(), "---\n") {
		switch {
		case strings.Contains(document, "kind: Namespace, metadata: {name: "+namespace+","):
			if err := yaml.Unmarshal([]byte(document), n); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(document, "kind: ServiceAccount, metadata: {name: "+name+", namespace: "+namespace+","):
			if err := yaml.Unmarshal([]byte(document), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	metav1.SetMetaDataLabel(&n.ObjectMeta, "kubernetes.io/metadata.name", n.Name)
	if n.Name == "" || a.Name == "" {
		t.Fatalf("no service account %s in %s", name, namespace)
	}
	return n, a
}

// setDefaults sets what the API server sets in the parts that the policy adds.
func setDefaults(pod *unstructured.Unstructured) {
	spec := pod.Object["spec"].(map[string]any)
	var apiAccess any
	for _, c := range spec["containers"].([]any) {
		mounts, _ := c.(map[string]any)["volumeMounts"].([]any)
		for _, m := range mounts {
			if m.(map[string]any)["name"] == "kube-api-access" {
				apiAccess = m
			}
		}
	}
	for _, v := range spec["volumes"].([]any) {
		if v := v.(map[string]any); v["name"] == "irsa-sidecar-token" {
			projected := v["projected"].(map[string]any)
			projected["defaultMode"] = int64(0o644)
			if token := projected["sources"].([]any)[0].(map[string]any)["serviceAccountToken"].(map[string]any); token["audience"] == "" {
				delete(token, "audience")
			}
		}
	}
	for _, c := range append(spec["initContainers"].([]any), spec["containers"].([]any)...) {
		c := c.(map[string]any)
		env, _ := c["env"].([]any) // link-local has none
		for _, e := range env {
			source, _ := e.(map[string]any)["valueFrom"].(map[string]any)
			if ref, ok := source["fieldRef"].(map[string]any); ok {
				ref["apiVersion"] = "v1"
			}
			if e := e.(map[string]any); e["value"] == "" {
				delete(e, "value")
			}
		}
		if c["image"] != shapes.Image {
			continue
		}
		c["terminationMessagePath"], c["terminationMessagePolicy"] = "/dev/termination-log", "File"
		if c["imagePullPolicy"] == "" {
			c["imagePullPolicy"] = "IfNotPresent"
		}
		resources := c["resources"].(map[string]any)
		limits, _ := resources["limits"].(map[string]any)
		for name, value := range limits {
			if requests := resources["requests"].(map[string]any); requests[name] == nil {
				requests[name] = value
			}
		}
		if probe, ok := c["startupProbe"].(map[string]any); ok {
			probe["successThreshold"] = int64(1)
		}
		if ports, ok := c["ports"].([]any); ok {
			port := ports[0].(map[string]any)
			port["protocol"] = "TCP"
			if spec["hostNetwork"] == true {
				port["hostPort"] = port["containerPort"]
			}
		}
		if apiAccess != nil {
			mounts, _ := c["volumeMounts"].([]any)
			c["volumeMounts"] = append(mounts, apiAccess)
		}
	}
}
