package main

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// root writes the files of an image to a new directory.
func root(t *testing.T, binary string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc", "ssl"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"sidecar": 0o111, "etc/ssl/cert.pem": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(binary), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// packed packs two architectures, and returns archive and digest.
func packed(t *testing.T, version, binary string) (archive, digest string) {
	t.Helper()
	archive = filepath.Join(t.TempDir(), "archive.tar")
	var stdout bytes.Buffer
	err := run([]string{"pack", "-dockerfile", "../../Dockerfile", "-arg", "VERSION=" + version, "-arg", "REVISION=abc",
		"-created", "2026-01-02T03:04:05Z", "-name", "registry.example.com/irsa-sidecar:" + version, "-out", archive,
		"amd64=" + root(t, binary), "arm64=" + root(t, binary)}, &stdout)
	if err != nil {
		t.Fatal(err)
	}
	return archive, strings.TrimSpace(stdout.String())
}

func TestSameFilesSameDigest(t *testing.T) {
	first, digest := packed(t, "v1.0.0", "binary")
	second, again := packed(t, "v1.0.0", "binary")
	if digest != again {
		t.Errorf("%s, then %s", digest, again)
	}
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the archives differ")
	}
	// Other programs than Go's miss it.
	if !bytes.HasSuffix(a, make([]byte, 1024)) {
		t.Error("the archive has no end")
	}
	if _, other := packed(t, "v1.0.1", "binary"); other == digest {
		t.Error("another version has the same digest")
	}
	if _, other := packed(t, "v1.0.0", "another"); other == digest {
		t.Error("another binary has the same digest")
	}
}

func TestContents(t *testing.T) {
	archive, _ := packed(t, "v1.0.0", "binary")
	err := withIndex(archive, func(index v1.ImageIndex, _ v1.Hash) error {
		manifest, err := index.IndexManifest()
		if err != nil {
			return err
		}
		for i, want := range []string{"linux/amd64", "linux/arm64"} {
			if got := manifest.Manifests[i].Platform.String(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			image, err := index.Image(manifest.Manifests[i].Digest)
			if err != nil {
				return err
			}
			checkImage(t, image, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImage(t *testing.T, image v1.Image, platform string) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	if got := file.OS + "/" + file.Architecture; got != platform {
		t.Errorf("the configuration says %s, want %s", got, platform)
	}
	if config.User != "9911:9911" || strings.Join(config.Entrypoint, " ") != "/sidecar" {
		t.Errorf("user %s, entrypoint %v", config.User, config.Entrypoint)
	}
	labels := config.Labels
	if labels["org.opencontainers.image.version"] != "v1.0.0" || labels["org.opencontainers.image.revision"] != "abc" || labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
		t.Errorf("labels %v", labels)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || !header.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: owner %d, time %s", header.Name, header.Uid, header.ModTime)
		}
		got = append(got, header.FileInfo().Mode().String()+" "+header.Name)
	}
	want := "drwxr-xr-x etc/, drwxr-xr-x etc/ssl/, -rw-r--r-- etc/ssl/cert.pem, ---x--x--x sidecar"
	if strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestDockerfile(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"another stage", "FROM golang\nRUN make\n\nFROM scratch\nUSER 1:1\n", ""},
		{"no stage", "FROM golang\nUSER 1:1\n", "no stage"},
		{"unknown instruction", "\nFROM scratch\nENV A=b\n", `cannot carry out "ENV A=b"`},
		{"another copy", "\nFROM scratch\nCOPY a /a\n", `cannot carry out "COPY a /a"`},
		{"no value", "\nFROM scratch\nARG VERSION=unknown\n", "no value for VERSION"},
		{"not quoted", "\nFROM scratch\nLABEL a=b\n", "invalid syntax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "Dockerfile")
			if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			config, err := readDockerfile(file, nil)
			if tt.want == "" && (err != nil || config.User != "1:1") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%+v, %v, want %q", config, err, tt.want)
			}
		})
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/team/irsa-sidecar"
	archive, digest := packed(t, "v1.0.0", "binary")
	try := func(args ...string) string {
		t.Helper()
		var stdout bytes.Buffer
		if err := run(args, &stdout); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(stdout.String())
	}

	try("reach", repository)
	try("free", archive, repository, "v1.0.0")
	if got := try("push", archive, repository); got != repository+"@"+digest {
		t.Errorf("pushed %s", got)
	}
	reference, err := name.NewTag(repository + ":v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(reference); err == nil {
		t.Error("the tag is there before the command tag")
	}
	try("tag", archive, repository, "v1.0.0")
	if there, err := remote.Head(reference); err != nil || there.Digest.String() != digest {
		t.Errorf("%v, %v, want %s", there, err, digest)
	}

	try("free", archive, repository, "v1.0.0") // a second run of the same release
	other, _ := packed(t, "v1.0.0", "another")
	if err := run([]string{"free", other, repository, "v1.0.0"}, io.Discard); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("%v, want a refusal: the tag is another image", err)
	}
	server.Close()
	for _, args := range [][]string{{"free", archive, repository, "v1.0.0"}, {"reach", repository}} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("%s: no error without a registry", args[0])
		}
	}
}

// What would fail when all is built fails before.
func TestReach(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "read only", http.StatusForbidden)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for repository, want := range map[string]string{
		host + "/team/irsa-sidecar":              "docker login " + host,
		host + "/team//irsa-sidecar":             "is not the name of a repository",
		host + "//irsa-sidecar":                  "is not the name of a repository",
		host + "/Team/irsa-sidecar":              "is not the name of a repository",
		"https://" + host + "/team/irsa-sidecar": "is not the name of a repository",
	} {
		if err := run([]string{"reach", repository}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", repository, err, want)
		}
	}
}
