package token

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A regular file whose readers wait for the kernel to log something.
func TestReadFileThatBlocks(t *testing.T) {
	const name = "/proc/kmsg"
	requireReadable(t, name)
	empty(t, name)
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

// empty takes what there is to read from a file whose readers wait for more.
func empty(t *testing.T, name string) {
	t.Helper()
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for buffer := make([]byte, 1<<16); err == nil; {
		_, err = syscall.Read(fd, buffer)
	}
	if err != syscall.EAGAIN {
		t.Fatal(err)
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

// requireReadable skips the test if there is no such file for this user.
func requireReadable(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("for user id %d: %v", os.Getuid(), err)
	}
	f.Close()
}
