package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "../../.."

// The policy and the documents have the pod's current shape.
func TestCurrent(t *testing.T) {
	if err := generate(repository, true); err != nil {
		t.Error(err)
	}
}

// A file that is changed on its own fails the check. Generating it restores it.
func TestDrift(t *testing.T) {
	const policy, shape = "deploy/inject/policy.yaml", "deploy/component/sidecar/pod.yaml"
	tests := []struct{ file, old, new, want string }{
		{policy, "failureThreshold: 300", "failureThreshold: 3", policy},
		{policy, `runAsUser: int(variables.container["uid"])`, "runAsUser: 9911", policy},
		{policy, "runAsUser: 0,", "runAsUser: 1,", policy},
		{policy, "[86400]", "[600]", policy},
		{policy, "ip_unprivileged_port_start", "ip_local_port_range", policy},
		{policy, `"http://127.0.0.1:9911/v1/credentials"`, `"http://127.0.0.1:9912/v1/credentials"`, policy},
		{policy, `"eks.amazonaws.com/skip-pod-identity-webhook": "true",`, "", policy},
		{policy, "readOnly: true", "readOnly: true, subPath: token", policy},
		{"deploy/preflight/endpoints.yaml", "ip_unprivileged_port_start", "ip_local_port_range", "deploy/preflight/endpoints.yaml"},
		{"deploy/preflight/pod.yaml", "memory: 64Mi", "memory: 65Mi", "deploy/preflight/pod.yaml"},
		{shape, "memory: 64Mi", "memory: 65Mi", ".md:"},
		{policy, "// sidecar: generated", "// the sidecar", `no file has the marker "// sidecar: generated"`},
		{policy, "// end of sidecar", "// the end", `no line "// end of sidecar"`},
		{shape, "AWS_REGION", "REGION", "AWS_REGION"},
		{shape, "AWS_DEFAULT_REGION", "REGION", "AWS_DEFAULT_REGION"},
		{shape, "irsa-sidecar/duration", "irsa-sidecar/lifetime", policy},
		{shape, "{fieldRef: {fieldPath: \"metadata.annotations['irsa-sidecar/zone']\"}}", "{}", "SIDECAR_ZONE has neither a value nor a field"},
		{"deploy/component/sidecar/node.yaml", "topology.kubernetes.io/region", "example/region", policy},
		{"deploy/component/sidecar/pod-identity.yaml", "169.254.170.23", "169.254.170.24", policy},
		{"deploy/component/sidecar/pod-identity.yaml", "audience: pods", "audience: pod", "pod-identity.yaml: the volume must differ"},
		{"deploy/component/sidecar/pod-identity.yaml", "86400", "3600", "pod-identity.yaml: the volume must differ"},
		{shape, "value: regional", "value: legacy", policy},
		{"deploy/component/sidecar/endpoints.yaml", "args: [link-local, ", "args: [", "irsa-sidecar-link-local"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.new, func(t *testing.T) {
			root := copyRepository(t)
			file := filepath.Join(root, tt.file)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(b), tt.old, tt.new, 1)
			if changed == string(b) {
				t.Fatalf("%s has no %q", tt.file, tt.old)
			}
			if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			err = generate(root, true)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %s", err, tt.want)
			}
			if err := generate(root, false); err == nil && generate(root, true) != nil {
				t.Error("after generating, the check still fails")
			}
		})
	}
}

// copyRepository returns a copy of the files that generate reads.
func copyRepository(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "deploy"), os.DirFS(filepath.Join(repository, "deploy"))); err != nil {
		t.Fatal(err)
	}
	documents, err := glob(repository, "*.md", "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		name, err := filepath.Rel(repository, document)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
