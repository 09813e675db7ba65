package deploy

import (
	"path/filepath"
	"strings"
	"testing"
)

// kustomize renames what it takes for a reference to a generated ConfigMap, also in the rules
// of a Role. The injector looks for these by name.
func TestInjectorsNames(t *testing.T) {
	text := buildYAML(t, filepath.Join(root, "injector"))
	for _, want := range []string{
		"  resourceNames:\n  - irsa-sidecar-injector\n",
		"  resourceNames:\n  - irsa-sidecar\n",
		"kind: MutatingWebhookConfiguration\nmetadata:\n  name: irsa-sidecar\n",
		"kind: Service\nmetadata:\n  name: irsa-sidecar-injector\n  namespace: irsa-sidecar-injector\n",
		"key: image\n              name: injector-settings-",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "caBundle") {
		t.Error("caBundle is the injector's to write")
	}
}
