package standin

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// Volume publishes files as the kubelet does in a projected volume. Its steps, and
// therefore its inotify events, have the order of AtomicWriter.Write in Kubernetes'
// pkg/volume/util/atomic_writer.go (older versions created the visible symlinks
// before the swap). The visible file is a symlink that is never written again;
// only the ..data symlink changes.
//
// Like the original it is not safe for concurrent use.
type Volume struct {
	// Mode is the mode of published files, 0644 if zero.
	Mode fs.FileMode

	dir string
}

// NewVolume returns a volume in dir. The first Publish creates dir if it does not
// exist.
func NewVolume(dir string) *Volume {
	return &Volume{dir: dir}
}

// Path returns the path at which a container sees the file.
func (v *Volume) Path(name string) string {
	return filepath.Join(v.dir, name)
}

// Publish makes name, with that content, the volume's only file.
func (v *Volume) Publish(name, content string) error {
	return v.PublishAll(map[string]string{name: content})
}

// PublishAll makes files (content by name, no directories) the volume's only
// files. It changes nothing if they are already.
func (v *Volume) PublishAll(files map[string]string) error {
	for name := range files {
		if name == "" || name == "." || strings.HasPrefix(name, "..") || filepath.Base(name) != name {
			return fmt.Errorf("publishing %q: not a valid file name in a volume", name)
		}
	}
	if err := os.MkdirAll(v.dir, 0o755); err != nil {
		return err
	}
	old, err := os.Readlink(v.Path(dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	stale, err := v.stale(old, files)
	if err != nil {
		return err
	}
	changed := old == "" || len(stale) > 0 || !v.holds(old, files)
	if changed {
		if err := v.swap(files); err != nil {
			return err
		}
	}
	if err := v.link(slices.Sorted(maps.Keys(files))); err != nil {
		return err
	}
	for _, name := range stale {
		if err := os.Remove(v.Path(name)); err != nil {
			return err
		}
	}
	if !changed || old == "" {
		return nil
	}
	return os.RemoveAll(v.Path(old))
}

// stale returns the names in the timestamped directory old that are not in files.
func (v *Volume) stale(old string, files map[string]string) ([]string, error) {
	if old == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(v.Path(old))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var stale []string
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok {
			stale = append(stale, e.Name())
		}
	}
	return stale, nil
}

func (v *Volume) holds(old string, files map[string]string) bool {
	for name, content := range files {
		b, err := os.ReadFile(filepath.Join(v.Path(old), name))
		if err != nil || string(b) != content {
			return false
		}
	}
	return true
}

// swap writes files to a new timestamped directory and points ..data at it.
func (v *Volume) swap(files map[string]string) (err error) {
	dir, err := os.MkdirTemp(v.dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// Here and in write, Chmod sets the mode again because the umask masks the first.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := v.write(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	if err := os.Symlink(filepath.Base(dir), v.Path(newDataLink)); err != nil {
		return err
	}
	return os.Rename(v.Path(newDataLink), v.Path(dataLink))
}

func (v *Volume) write(path, content string) error {
	mode := v.Mode
	if mode == 0 {
		mode = 0o644
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// link creates the visible symlinks that are missing.
func (v *Volume) link(names []string) error {
	for _, name := range names {
		err := os.Symlink(filepath.Join(dataLink, name), v.Path(name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
