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
	unread, full, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	defer full.Close()
	for err == nil {
		full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = full.Write(make([]byte, 4096))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	w := newShortWorld(t)
	cmd := command(t, w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ADMIN_LISTEN=127.0.0.1:9912"))
	cmd.Stdout, cmd.Stderr = full, full
	p := launch(t, cmd)
	p.waitForPorts(t, "127.0.0.1:9911", "127.0.0.1:9912")
	o := observe(t, w, p)
	o.loseLog(true)
	o.waitForCredentials(t)
	o.waitForRefresh(t)
	o.end(t)
}
