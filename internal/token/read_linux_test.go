package token

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
)

// A regular file whose readers wait for the kernel to log something.
func TestReadFileThatBlocks(t *testing.T) {
	const name = "/proc/kmsg"
	requireReadable(t, name)
	if err := harness.ReadOut(name); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := ReadFile(name, maxFileSize)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "makes its readers wait") {
			t.Errorf("got %v", err)
		}
	case <-time.After(waitTime):
		t.Fatal("the read hangs")
	}
}

// Regular files that say they are empty, and have no end or a very late one.
func TestReadFileWithoutEnd(t *testing.T) {
	for _, name := range []string{"/proc/kpageflags", "/proc/self/pagemap"} {
		t.Run(name, func(t *testing.T) {
			requireReadable(t, name)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := ReadFile(name, maxFileSize)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("no error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("reading it took %d bytes", got)
			}
		})
	}
}

// requireReadable skips the test if an ordinary user may not read a file. Root may.
func requireReadable(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil && os.Getuid() != 0 {
		t.Skipf("for user id %d: %v", os.Getuid(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
