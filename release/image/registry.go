package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// As docker login has left them.
var credentials = remote.WithAuthFromKeychain(authn.DefaultKeychain)

// reach starts an upload and drops it. Some registries have only the repositories that somebody
// has created, and a login that can read need not be one that can push.
func reach(repository string) error {
	repo, err := newRepository(repository)
	if err != nil {
		return err
	}
	err = remote.CheckPushPermission(repo.Tag("none"), authn.DefaultKeychain, http.DefaultTransport)
	if refused, ok := errors.AsType[*transport.Error](err); ok && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%w: run docker login %s, as somebody who may push", err, repo.RegistryStr())
	}
	return err
}

// The grammar of distribution, which pulls and signatures keep to. name.NewRepository is laxer.
var validPath = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func newRepository(text string) (name.Repository, error) {
	repo, err := name.NewRepository(text)
	if err != nil || !validPath.MatchString(repo.RepositoryStr()) {
		return name.Repository{}, fmt.Errorf("%q is not the name of a repository, such as registry.example.com/team/irsa-sidecar", text)
	}
	return repo, nil
}

func free(archive, repository, tag string) error {
	repo, err := newRepository(repository)
	if err != nil {
		return err
	}
	return withContent(archive, func(_ remote.Taggable, digest v1.Hash) error {
		there, err := head(repo.Tag(tag))
		if err == nil && there != (v1.Hash{}) && there != digest {
			err = fmt.Errorf("%s is there already, with another digest: %s, not %s", repo.Tag(tag), there, digest)
		}
		return err
	})
}

// head returns the digest of a tag, or none if there is no such tag.
func head(tag name.Tag) (v1.Hash, error) {
	there, err := remote.Head(tag, credentials)
	if refused, ok := errors.AsType[*transport.Error](err); ok && refused.StatusCode == http.StatusNotFound {
		return v1.Hash{}, nil
	}
	if err != nil {
		return v1.Hash{}, err
	}
	return there.Digest, nil
}

func digest(archive, architecture string, stdout io.Writer) error {
	return withIndex(archive, func(index v1.ImageIndex, _ v1.Hash) error {
		manifest, err := index.IndexManifest()
		if err != nil {
			return err
		}
		for _, image := range manifest.Manifests {
			if image.Platform.Architecture == architecture {
				_, err := fmt.Fprintln(stdout, image.Digest)
				return err
			}
		}
		return fmt.Errorf("%s has no image for %s", archive, architecture)
	})
}

func push(archive, repository string, stdout io.Writer) error {
	repo, err := newRepository(repository)
	if err != nil {
		return err
	}
	return withContent(archive, func(content remote.Taggable, digest v1.Hash) error {
		reference := repo.Digest(digest.String())
		if err := remote.Push(reference, content, credentials); err != nil {
			return err
		}
		_, err := fmt.Fprintln(stdout, reference)
		return err
	})
}

func tag(archive, repository, tag string) error {
	repo, err := newRepository(repository)
	if err != nil {
		return err
	}
	return withContent(archive, func(_ remote.Taggable, digest v1.Hash) error {
		pushed, err := remote.Get(repo.Digest(digest.String()), credentials)
		if err != nil {
			return err
		}
		return remote.Tag(repo.Tag(tag), pushed, credentials)
	})
}

// withIndex calls use with the image in an archive.
func withIndex(archive string, use func(v1.ImageIndex, v1.Hash) error) error {
	return withContent(archive, func(content remote.Taggable, digest v1.Hash) error {
		index, ok := content.(v1.ImageIndex)
		if !ok {
			return fmt.Errorf("%s is not for several architectures", archive)
		}
		return use(index, digest)
	})
}

// withContent calls use with what is in an archive: an image for several architectures, or a
// chart, which has the form of an image for one.
func withContent(archive string, use func(remote.Taggable, v1.Hash) error) error {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := extract(archive, dir); err != nil {
		return err
	}
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("%s has %d images", archive, len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	var content remote.Taggable
	if manifest.Manifests[0].MediaType.IsIndex() {
		content, err = all.ImageIndex(digest)
	} else {
		content, err = all.Image(digest)
	}
	if err != nil {
		return err
	}
	return use(content, digest)
}

func extract(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(header.Name))
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(target, 0o755)
		} else {
			err = writeFrom(target, reader)
		}
		if err != nil {
			return err
		}
	}
}

func writeFrom(name string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	// An archive need not have directories.
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
