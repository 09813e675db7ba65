package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The binary is the roots command: it is small.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "roots")
	if output, err := exec.Command("go", "build", "-o", binary, "../roots").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	output, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := linked(string(output))
	if err != nil || len(modules) != 2 || !strings.HasPrefix(modules[0], "std@go1.") || !strings.HasPrefix(modules[1], "golang.org/x/crypto/x509roots/fallback@v0.0.0-") {
		t.Fatalf("%v, %v", modules, err)
	}
	tests := []struct {
		name             string
		licensed, listed []string
		want             string
	}{
		{"all", modules, modules, ""},
		{"no license", modules[:1], modules, "has no license for golang.org/x/crypto"},
		{"not in the SBOM", modules, modules[1:], "does not have std@"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			licenses, sbom := t.TempDir(), filepath.Join(t.TempDir(), "sbom.json")
			for _, module := range tt.licensed {
				if err := os.MkdirAll(filepath.Join(licenses, module, "LICENSE"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var components []string
			for _, module := range tt.listed {
				name, version, _ := strings.Cut(module, "@")
				components = append(components, fmt.Sprintf(`{"name": %q, "version": %q}`, name, version))
			}
			if err := os.WriteFile(sbom, []byte(`{"components": [`+strings.Join(components, ",")+`]}`), 0o644); err != nil {
				t.Fatal(err)
			}
			err := run(binary, licenses, sbom, &bytes.Buffer{})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestLinked(t *testing.T) {
	const output = "/sidecar: go1.26.8\n\tpath\tirsa-sidecar/cmd/sidecar\n\tmod\tirsa-sidecar\t(devel)\t\n\tdep\ta\tv1.0.0\th1:x\n\tdep\tb\tv1.0.0\n\t=>\tc\tv2.0.0\th1:y\n\tbuild\t-compiler=gc\n"
	got, err := linked(output)
	if err != nil || strings.Join(got, " ") != "std@go1.26.8 a@v1.0.0 c@v2.0.0" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := linked("/sidecar: go1.26.8\n"); err == nil {
		t.Error("no error for a binary without modules")
	}
}
