package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is linked is read by another program here: go version -m.
func TestSidecar(t *testing.T) {
	dir := t.TempDir()
	binary, out := filepath.Join(dir, "sidecar"), filepath.Join(dir, "licenses")
	command := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", binary, "./cmd/sidecar")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if err := run(binary, out); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"std@" + info.GoVersion}
	for line := range strings.Lines(string(output)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			modules = append(modules, fields[1]+"@"+fields[2])
		}
	}
	if len(modules) < 15 {
		t.Errorf("only %v", modules)
	}
	for _, module := range modules {
		if texts, _ := filepath.Glob(filepath.Join(out, module, "LICENSE*")); len(texts) == 0 {
			t.Errorf("no license of %s", module)
		}
	}
	// The Apache License asks for these.
	for _, module := range modules {
		if strings.Contains(module, "/prometheus/") {
			if _, err := os.Stat(filepath.Join(out, module, "NOTICE")); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCopyTexts(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		deep  bool
		want  string // what is copied, or no license
	}{
		{"a license", []string{"LICENSE", "main.go"}, true, "LICENSE"},
		{"other names", []string{"COPYING", "LICENCE.md", "license-mit", "NOTICE.txt", "PATENTS"}, true, "COPYING LICENCE.md NOTICE.txt PATENTS license-mit"},
		{"source files", []string{"LICENSE", "license.go", "notices.txt", "licensed"}, true, "LICENSE"},
		{"code of others", []string{"LICENSE", "internal/b/LICENSE", "testdata/LICENSE"}, true, "LICENSE internal/b/LICENSE"},
		{"Go's installation", []string{"LICENSE", "src/b/LICENSE"}, false, "LICENSE"},
		{"nothing", []string{"main.go"}, true, "no license"},
		{"a notice alone", []string{"NOTICE"}, true, "no license"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, out := t.TempDir(), t.TempDir()
			for _, name := range tt.files {
				if err := os.MkdirAll(filepath.Join(in, filepath.Dir(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(in, name), []byte(name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := copyTexts(in, out, tt.deep)
			if tt.want == "no license" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := files(t, out); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// files returns the names of the files below dir.
func files(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
