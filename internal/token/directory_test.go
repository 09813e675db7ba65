package token

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
)

// A directory that is missing for a while, or that another one replaces, is watched again:
// otherwise each later token would be noticed only by the poll.
func TestDirectoryIsWatchedAgain(t *testing.T) {
	tests := []struct {
		name  string
		leave func(path string) error
	}{
		{"removed", os.RemoveAll},
		{"moved away", func(path string) error { return os.Rename(path, path+".old") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := new(harness.Buffer)
			d := &directory{path: filepath.Join(t.TempDir(), "volume"), log: slog.New(slog.NewJSONHandler(log, nil))}
			defer d.close()
			d.watch()
			if !d.broken {
				t.Fatal("a missing directory is watched")
			}
			for range 2 {
				if err := os.Mkdir(d.path, 0o700); err != nil {
					t.Fatal(err)
				}
				d.watch()
				if d.broken {
					t.Fatalf("the directory is not watched:\n%s", log)
				}
				d.wantEventOf(t, filepath.Join(d.path, "token"))
				if err := tt.leave(d.path); err != nil {
					t.Fatal(err)
				}
				d.wantEventOf(t, d.path)
				d.watch()
				if !d.broken {
					t.Fatal("a directory that is gone is watched")
				}
				os.RemoveAll(d.path + ".old")
			}
			if n := strings.Count(log.String(), "token not watched"); n != 3 {
				t.Errorf("%d lines about three times without a watch:\n%s", n, log)
			}
		})
	}
}

// wantEventOf waits for an event of this name. If it is a file that is missing, it makes it.
func (d *directory) wantEventOf(t *testing.T, name string) {
	t.Helper()
	if filepath.Base(name) == "token" {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for timeout := time.After(waitTime); ; {
		select {
		case event := <-d.events():
			if event.Name == name {
				return
			}
		case <-timeout:
			t.Fatalf("no event of %s", name)
		}
	}
}
