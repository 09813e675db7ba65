package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestStatement(t *testing.T) {
	dir := t.TempDir()
	file, image := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "irsa-sidecar-v1.0.0.digest")
	for name, text := range map[string]string{file: "abc", image: "sha256:0123\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := run([]string{"-tag", "v1.0.0", "-revision", "c0ffee", "-registry", "r.example.com", "-source", "https://git.example.com/x",
		"-builder", "https://ci.example.com", "-go", "go1.26.8", file, image}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	// sha256sum says the same of "abc".
	const text = `{
		"_type": "https://in-toto.io/Statement/v1",
		"subject": [
			{"name": "a.yaml", "digest": {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}},
			{"name": "irsa-sidecar-v1.0.0", "digest": {"sha256": "0123"}}
		],
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": {
			"buildDefinition": {
				"buildType": "urn:irsa-sidecar:release/run",
				"externalParameters": {"tag": "v1.0.0", "registry": "r.example.com"},
				"resolvedDependencies": [
					{"name": "irsa-sidecar", "uri": "git+https://git.example.com/x@refs/tags/v1.0.0", "digest": {"gitCommit": "c0ffee"}},
					{"name": "go", "uri": "pkg:generic/go@1.26.8"}
				]
			},
			"runDetails": {"builder": {"id": "https://ci.example.com"}}
		}
	}`
	var want any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nwant %s", out.String(), text)
	}
}

func TestNoDigest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.digest")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{name}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "has no digest") {
		t.Errorf("%v, want no digest", err)
	}
}
