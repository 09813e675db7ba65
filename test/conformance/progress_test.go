package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A run that was interrupted goes on where it stopped, with the same sidecar and drivers.
func TestProgress(t *testing.T) {
	tested := release{Language: "go", Package: "sdk", Version: "1", Driver: "driver"}
	rest := release{Language: "go", Package: "sdk", Version: "2", Driver: "driver"}
	both := []release{tested, rest}
	s := &suite{dir: t.TempDir(), cache: t.TempDir(), out: new(bytes.Buffer)}
	s.sidecar = filepath.Join(s.cache, "sidecar")
	driver := filepath.Join(s.dir, "clients", "driver", "client")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(o options) progress {
		t.Helper()
		p, err := s.progress(o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	check := func(when string, o options, want int) {
		t.Helper()
		seen, left, err := begin(o).kept(both)
		if err != nil || len(seen) != want || len(left) != len(both)-want {
			t.Errorf("%s: %d reports are kept and %d releases are left, %v; want %d kept", when, len(seen), len(left), err, want)
		}
	}
	write(s.sidecar, "a sidecar")
	write(driver, "a driver")
	keep := func() {
		t.Helper()
		if err := begin(options{}).keep(tested, &report{Verdicts: map[string]string{"identity": "ok"}}); err != nil {
			t.Fatal(err)
		}
	}

	keep()
	check("after an interruption", options{}, 1)
	check("with --update", options{update: true}, 1)
	check("of a run of some releases", options{client: "sdk"}, 0)
	write(driver, "another driver")
	check("with another driver", options{}, 0)
	keep()
	if err := begin(options{}).end(); err != nil {
		t.Fatal(err)
	}
	check("after a complete run", options{}, 0)
	keep()
	write(s.sidecar, "another sidecar")
	check("with another sidecar", options{}, 0)
}

func TestLeft(t *testing.T) {
	if got, want := left(time.Now().Add(-time.Minute), 3, 12), ", about 3m0s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := left(time.Now().Add(-time.Minute), 12, 12); got != "" {
		t.Errorf("%q is left of a run that is complete", got)
	}
}
