package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// The archives are the same whenever they are made. The OCI archive has the chart that is beside
// it.
func TestArchives(t *testing.T) {
	const plain, oci = "irsa-sidecar-0.1.0.tgz", "irsa-sidecar-chart-v0.1.0.oci.tar"
	written := map[string][]byte{}
	var digest bytes.Buffer
	for range 2 {
		digest.Reset()
		directory := t.TempDir()
		if err := run("v0.1.0", "", directory, &digest); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{plain, oci} {
			b, err := os.ReadFile(filepath.Join(directory, name))
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := written[name]; ok && !bytes.Equal(b, before) {
				t.Errorf("%s differs the second time", name)
			}
			written[name] = b
		}
	}
	loaded, err := loader.LoadArchive(bytes.NewReader(written[plain]))
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Metadata.Version != "0.1.0" || loaded.Metadata.AppVersion != "v0.1.0" || len(loaded.Templates) != 8 {
		t.Errorf("the chart is %v, with %d templates", loaded.Metadata, len(loaded.Templates))
	}

	blobs := untar(t, written[oci])
	var index struct{ Manifests []descriptor }
	decodeJSON(t, blobs["index.json"], &index)
	if got, want := index.Manifests[0].Digest+"\n", digest.String(); got != want {
		t.Errorf("the digest is %s, and %s is printed", got, want)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decodeJSON(t, blob(t, blobs, index.Manifests[0]), &manifest)
	if manifest.Config.MediaType != "application/vnd.cncf.helm.config.v1+json" || manifest.Layers[0].MediaType != "application/vnd.cncf.helm.chart.content.v1.tar+gzip" {
		t.Errorf("the manifest is %v", manifest)
	}
	var config struct{ Name, Version string }
	decodeJSON(t, blob(t, blobs, manifest.Config), &config)
	if config.Name != "irsa-sidecar" || config.Version != "0.1.0" {
		t.Errorf("the configuration is %v", config)
	}
	if !bytes.Equal(blob(t, blobs, manifest.Layers[0]), written[plain]) {
		t.Error("the layer is not the chart")
	}
}

func untar(t *testing.T, content []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %s", header.Name, header.ModTime)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// blob returns what a descriptor describes.
func blob(t *testing.T, files map[string][]byte, d descriptor) []byte {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(files["blobs/sha256/"+d.Digest[len("sha256:"):]]))
	content := files["blobs/sha256/"+sum]
	if d.Digest != "sha256:"+sum || d.Size != len(content) {
		t.Errorf("the archive has no blob %v", d)
	}
	return content
}

func decodeJSON(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}
