package main

import (
	"errors"
	"os"
	"testing"
	"time"
)

// A log that nobody reads, a pipe that is full, holds up nothing: P1, P4, P8.
func TestFaultLogUnread(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) { // where no other test has the ports
		return
	}
	unread, full := newPipe(t)
	var err error
	for err == nil {
		full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = full.Write(make([]byte, 4096))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	testWithoutLog(t, full)
	unread.Close()
}

// Nor does a pipe whose other end is closed: P1, P4.
func TestFaultLogClosed(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	unread, closed := newPipe(t)
	unread.Close()
	testWithoutLog(t, closed)
}

func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// testWithoutLog has a sidecar do its work without being able to write its log.
func testWithoutLog(t *testing.T, log *os.File) {
	w := newShortWorld(t)
	cmd := command(t, w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ADMIN_LISTEN=127.0.0.1:9912"))
	cmd.Stdout, cmd.Stderr = log, log
	p := launch(t, cmd)
	p.waitForPorts(t, "127.0.0.1:9911", "127.0.0.1:9912")
	o := observe(t, w, p)
	o.loseLog(true)
	o.waitForCredentials(t)
	o.waitForRefresh(t)
	o.end(t)
}
