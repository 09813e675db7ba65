package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/yaml"
)

// The media types of Helm's charts in registries.
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.cncf.helm.config.v1+json"
	contentType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// pack returns the chart as helm package writes it, but always the same bytes.
func pack(files map[string][]byte) ([]byte, error) {
	inDirectory := map[string][]byte{}
	for name, content := range files {
		inDirectory["irsa-sidecar/"+name] = content
	}
	content, err := tarOf(inDirectory)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// tarOf returns a tar of files.
func tarOf(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names(files) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// layout returns the chart as an OCI archive, in the form that helm push gives it, and its digest.
func layout(chart, content []byte) (layout []byte, digest string, err error) {
	var metadata struct{ Name, Description, Version string }
	if err := yaml.Unmarshal(chart, &metadata); err != nil {
		return nil, "", err
	}
	config, err := yaml.YAMLToJSON(chart)
	if err != nil {
		return nil, "", err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	blob := func(mediaType string, content []byte) descriptor {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		files["blobs/sha256/"+sum] = content
		return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(content)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     manifestType,
		"config":        blob(configType, config),
		"layers":        []descriptor{blob(contentType, content)},
		"annotations": map[string]string{
			"org.opencontainers.image.title":       metadata.Name,
			"org.opencontainers.image.description": metadata.Description,
			"org.opencontainers.image.version":     metadata.Version,
		},
	})
	if err != nil {
		return nil, "", err
	}
	top := blob(manifestType, manifest)
	top.Annotations = map[string]string{"org.opencontainers.image.ref.name": metadata.Version}
	if files["index.json"], err = json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{top}}); err != nil {
		return nil, "", err
	}
	layout, err = tarOf(files)
	return layout, top.Digest, err
}
