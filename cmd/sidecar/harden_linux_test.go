package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// P6: other processes cannot read the sidecar's memory and files, even as its own user.
func TestIsHardened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	cmd := command(t, w.environment("SIDECAR_AUTHORIZATION_TOKEN=canary"))
	cmd.Path = buildSidecar(t)
	makeReadable(t, cmd.Path)
	if err := os.Chmod(cmd.Path, 0o111); err != nil { // as in the image
		t.Fatal(err)
	}
	cmd.SysProcAttr = ordinaryUser(t, w)
	p := launch(t, cmd)
	p.waitUntilItListens(t)
	p.waitForLog(t, "credentials refreshed")
	proc := fmt.Sprintf("/proc/%d/", p.Pid())

	threads, err := filepath.Glob(proc + "task/*/status")
	if err != nil || len(threads) < 2 {
		t.Fatalf("found %d threads, want 2 or more: %v", len(threads), err)
	}
	for _, thread := range threads {
		if status, err := os.ReadFile(thread); err != nil || !bytes.Contains(status, []byte("\nNoNewPrivs:\t1\n")) {
			t.Errorf("%s: want NoNewPrivs: 1: %v, %s", thread, err, status)
		}
	}
	if limits, err := os.ReadFile(proc + "limits"); err != nil || !strings.Contains(string(limits), "Max core file size        0                    0 ") {
		t.Errorf("want a core file size of 0: %v, limits:\n%s", err, limits)
	}
	for _, file := range []string{"environ", "maps", "mem", "fd", "root"} {
		reader := exec.Command("cat", proc+file)
		reader.SysProcAttr = cmd.SysProcAttr
		if out, err := reader.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("Permission denied")) {
			t.Errorf("another process of the same user can read %s: %v, %q", file, err, out)
		}
	}
	if strings.Contains(p.log(), "not hardened") {
		t.Error("the log says that the process is not hardened")
	}
	// The sidecar itself can still read what it needs.
	if _, metrics := get(t, "http://"+p.admin+"/metrics"); !strings.Contains(metrics, "\nprocess_open_fds ") || !strings.Contains(metrics, "\nprocess_resident_memory_bytes ") {
		t.Errorf("process metrics are missing:\n%s", metrics)
	}
}

// ordinaryUser returns the attributes that run a process as the sidecar's user in a pod,
// and lets that user read the token. If the test is not root, the user is the test's.
func ordinaryUser(t *testing.T, w *world) *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	makeReadable(t, w.volume.Path("token"))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 9911, Gid: 9911}}
}

// makeReadable lets all users open the directories above a file in the temporary
// directory.
func makeReadable(t *testing.T, file string) {
	t.Helper()
	for dir := filepath.Dir(file); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
