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

// One kustomization can have the injector and a guard that looks at some namespaces alone, as
// docs/rollout.md says. A second one with the guard would undo that.
func TestInjectorWithSettingsOfGuard(t *testing.T) {
	dir := filepath.Join(copyDeploy(t), "overlay")
	write(t, filepath.Join(dir, "settings.yaml"), strings.Replace(settings, "\ndata: {", "\ndata: {namespace-label: example.com/a, ", 1))
	write(t, filepath.Join(dir, "kustomization.yaml"), `
resources: [settings.yaml, ../guard, ../injector]
components: [../guard/settings]
configMapGenerator:
  - {name: injector-settings, namespace: irsa-sidecar-injector, behavior: merge, literals: [image=example.com/sidecar:1, region=eu-west-1]}
`)
	text := buildYAML(t, dir)
	if policies, selectors := strings.Count(text, "kind: ValidatingAdmissionPolicy\n"), strings.Count(text, "- key: example.com/a\n"); policies == 0 || selectors != policies {
		t.Errorf("%d of %d policies look at the namespaces with the label", selectors, policies)
	}
	if strings.Contains(text, "kind: ConfigMap\nmetadata:\n  name: irsa-sidecar\n") || !strings.Contains(text, "image: example.com/sidecar:1\n") {
		t.Errorf("the ConfigMaps are wrong:\n%s", text)
	}
}

// cert-manager issues the certificate for the name that the API server calls, and the injector
// has no permission that it no longer needs.
func TestInjectorWithCertManager(t *testing.T) {
	dir := filepath.Join(copyDeploy(t), "overlay")
	write(t, filepath.Join(dir, "kustomization.yaml"), "resources: [../injector]\ncomponents: [../injector/cert-manager]\n")
	text := buildYAML(t, dir)
	for _, want := range []string{
		"  dnsNames:\n  - irsa-sidecar-injector.irsa-sidecar-injector.svc\n",
		"  secretName: injector-tls\n",
		"          secretName: injector-tls\n",
		"        - --cert-dir=/tls\n",
		"        - mountPath: /tls\n          name: tls\n          readOnly: true\n",
		"    cert-manager.io/inject-ca-from: irsa-sidecar-injector/injector\n",
		"kind: Certificate\nmetadata:\n  name: injector\n  namespace: irsa-sidecar-injector\n",
		"kind: ClusterRoleBinding\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, permission := range []string{"kind: Role\n", "kind: RoleBinding\n", "  - secrets\n", "  - mutatingwebhookconfigurations\n"} {
		if strings.Contains(text, permission) {
			t.Errorf("%q in\n%s", permission, text)
		}
	}
}
