package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A chart is pushed as it is in the archive.
func TestPushChart(t *testing.T) {
	const configType, contentType = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	chart, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte("chart"), contentType))
	if err != nil {
		t.Fatal(err)
	}
	chart = mutate.ConfigMediaType(chart, configType)
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(chart); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "chart.tar")
	writeFiles(t, archive, dir)

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/charts/irsa-sidecar"
	for _, args := range [][]string{{"free", archive, repository, "0.1.0"}, {"push", archive, repository}, {"tag", archive, repository, "0.1.0"}} {
		if err := run(args, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	reference, err := name.NewTag(repository + ":0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Get(reference)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := chart.Digest(); err != nil || there.Digest != want {
		t.Errorf("%s, %v, want %s", there.Digest, err, want)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(there.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != configType || manifest.Layers[0].MediaType != contentType {
		t.Errorf("the registry has %s", there.Manifest)
	}
	if err := run([]string{"digest", archive, "amd64"}, io.Discard); err == nil || !strings.Contains(err.Error(), "several architectures") {
		t.Errorf("%v, want an error: a chart has no architecture", err)
	}
}

// writeFiles writes a tar of the files in a directory, without directories.
func writeFiles(t *testing.T, archive, dir string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err := errors.Join(err, w.Close(), os.WriteFile(archive, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}
