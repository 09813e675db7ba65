package standin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"irsa-sidecar/test/standin"
)

func TestVolumeEvents(t *testing.T) {
	dir := t.TempDir()
	v := standin.NewVolume(dir)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}

	publish(t, v, "first")
	first := readlink(t, filepath.Join(dir, "..data"))
	want := []string{"CREATE " + first, "CHMOD " + first, "CREATE ..data_tmp", "RENAME ..data_tmp", "CREATE ..data", "CREATE token"}
	if got := events(t, w, want[len(want)-1]); !slices.Equal(got, want) {
		t.Errorf("first publication: events %q, want %q", got, want)
	}

	publish(t, v, "first")
	publish(t, v, "second")
	second := readlink(t, filepath.Join(dir, "..data"))
	// Publishing the same content causes no events, and token itself does not change.
	want = []string{"CREATE " + second, "CHMOD " + second, "CREATE ..data_tmp", "RENAME ..data_tmp", "CREATE ..data", "REMOVE " + first}
	if got := events(t, w, want[len(want)-1]); !slices.Equal(got, want) {
		t.Errorf("second publication: events %q, want %q", got, want)
	}
}

func TestVolumeFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "publish")
	v := standin.NewVolume(dir)
	publish(t, v, "first")
	old := readlink(t, filepath.Join(dir, "..data"))
	if !regexp.MustCompile(`^\.\.\d{4}(_\d\d){5}\.\d+$`).MatchString(old) {
		t.Errorf("..data points to %q", old)
	}
	if got := readlink(t, v.Path("token")); got != "..data/token" {
		t.Errorf("token points to %q, want ..data/token", got)
	}
	open, err := os.Open(v.Path("token"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	v.Mode = 0o600
	if err := v.PublishAll(map[string]string{"token": "second", "ca.crt": "ca"}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(v.Path("token")); err != nil || string(b) != "second" {
		t.Errorf("token is %q, %v, want second", b, err)
	}
	if info, err := os.Stat(v.Path("ca.crt")); err != nil || info.Mode() != 0o600 {
		t.Errorf("ca.crt is %v, %v, want mode 0600", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, old)); !os.IsNotExist(err) {
		t.Errorf("the old directory: %v, want that it does not exist", err)
	}
	b := make([]byte, 16)
	if n, err := open.Read(b); err != nil || string(b[:n]) != "first" {
		t.Errorf("an open file reads %q, %v: it was written to", b[:n], err)
	}

	publish(t, v, "second")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{readlink(t, filepath.Join(dir, "..data")), "..data", "token"}; !slices.Equal(names, want) {
		t.Errorf("volume has %q, want %q", names, want)
	}
}

func TestVolumeRefusesNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "..data", "../x", "a/b", "/x"} {
		dir := t.TempDir()
		if err := standin.NewVolume(dir).Publish(name, "x"); err == nil {
			t.Errorf("published %q", name)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("refusing %q left %v, %v", name, entries, err)
		}
	}
}

func publish(t *testing.T, v *standin.Volume, content string) {
	t.Helper()
	if err := v.Publish("token", content); err != nil {
		t.Fatal(err)
	}
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// events returns the events up to last.
func events(t *testing.T, w *fsnotify.Watcher, last string) []string {
	t.Helper()
	var got []string
	for timeout := time.After(5 * time.Second); ; {
		select {
		case e := <-w.Events:
			got = append(got, e.Op.String()+" "+filepath.Base(e.Name))
			if got[len(got)-1] == last {
				return got
			}
		case err := <-w.Errors:
			t.Fatal(err)
		case <-timeout:
			t.Fatalf("no event %q after %q", last, got)
		}
	}
}
