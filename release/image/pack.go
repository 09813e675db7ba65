package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeArchive writes an OCI layout as one file. roots has a directory for each architecture.
func writeArchive(o options, roots map[string]string) (v1.Hash, error) {
	config, err := readDockerfile(o.dockerfile, o.args)
	if err != nil {
		return v1.Hash{}, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range slices.Sorted(maps.Keys(roots)) {
		platform := v1.Platform{OS: "linux", Architecture: arch}
		image, err := newImage(platform, config, o.created, roots[arch])
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	_, tag, _ := cutLast(o.name, ":")
	names := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          o.name,
		"org.opencontainers.image.ref.name": tag,
	})
	if err := path.AppendIndex(index, names); err != nil {
		return v1.Hash{}, err
	}
	archive, err := tarOf(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := os.WriteFile(o.out, archive, 0o644); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// newImage has all files in one layer: it is small, and changes as a whole.
func newImage(platform v1.Platform, config v1.Config, created time.Time, root string) (v1.Image, error) {
	files, err := tarOf(root)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	file := &v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture, Created: v1.Time{Time: created}, Config: config, RootFS: v1.RootFS{Type: "layers"}}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "release/build"}})
}

// tarOf returns the files below root as a tar that depends on their names, modes and contents
// alone: the same files are the same layer in every release.
func tarOf(root string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator))), Mode: int64(info.Mode().Perm()), ModTime: time.Unix(0, 0)}
		if entry.IsDir() {
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
			return w.WriteHeader(header)
		}
		data, err := read(name, info.Mode())
		if err != nil {
			return err
		}
		header.Typeflag, header.Size = tar.TypeReg, int64(len(data))
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// read also reads a file that its owner must not read, as the sidecar.
func read(name string, mode fs.FileMode) ([]byte, error) {
	data, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrPermission) {
		return data, err
	}
	if err := os.Chmod(name, mode|0o400); err != nil {
		return nil, err
	}
	data, err = os.ReadFile(name)
	return data, errors.Join(err, os.Chmod(name, mode))
}
