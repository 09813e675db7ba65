package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
)

// Whatever file the token should be in, the sidecar says what is wrong, and SIGTERM ends
// it: P7, P8.
func TestUnusableTokenFile(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, says string }{
		{"a pipe without a writer", mkfifo(t), "is not a regular file"},
		{"a directory", t.TempDir(), "is not a regular file"},
		{"a device without end", "/dev/zero", "is not a regular file"},
		{"a file without end", "/proc/kpageflags", ""},
		{"a file that blocks", "/proc/kmsg", "makes its readers wait"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.file == "/proc/kmsg" {
				readOut(t, tt.file)
			}
			p := start(t, newWorld(t).environment("AWS_WEB_IDENTITY_TOKEN_FILE="+tt.file))
			p.waitForLog(t, `"code":"token","error":"token file `+tt.file+" "+tt.says)
			if status, output := p.ready(t); status != 1 || !strings.HasPrefix(output, "token: token file "+tt.file+" "+tt.says) {
				t.Errorf("sidecar ready: exit status %d, output %q", status, output)
			}
			if status := p.terminate(t); status != 0 {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

// A pipe in place of the token does no harm, and a token that comes back is noticed: P1, P4.
func TestFaultTokenIsAPipe(t *testing.T) {
	fifo := mkfifo(t)
	outage{
		setup: setup{reason: "token"},
		begin: func(w *world) { replace(t, w.volume.Path("token"), fifo) },
		end: func(w *world) {
			os.Remove(w.volume.Path("token"))
			w.publish(t)
		},
	}.test(t)
}

// A pipe in place of the authorization token keeps no request waiting, and the last good
// token stays in effect: P1.
func TestAuthorizationTokenIsAPipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	file := filepath.Join(t.TempDir(), "authorization")
	if err := os.WriteFile(file, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, w.environment("SIDECAR_AUTHORIZATION_TOKEN_FILE="+file))
	p.waitForLog(t, "credentials refreshed")
	replace(t, file, mkfifo(t))
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.log(), "authorization token unusable"); time.Sleep(50 * time.Millisecond) {
		if got := p.askWith(t, "canary"); got != 200 || time.Now().After(deadline) {
			t.Fatalf("got %d, want 200 and a line in the log", got)
		}
	}
	if got := p.askWith(t, "wrong"); got != 401 {
		t.Errorf("with a wrong token: got %d, want 401", got)
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func mkfifo(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// replace atomically makes name a link to target.
func replace(t *testing.T, name, target string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// readOut makes the next reader of a file wait. It skips the test if an ordinary user may
// not read the file. Root may.
func readOut(t *testing.T, name string) {
	t.Helper()
	err := harness.ReadOut(name)
	if err != nil && os.Getuid() != 0 {
		t.Skipf("for user id %d: %v", os.Getuid(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
