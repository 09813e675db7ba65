package main

import (
	"errors"
	"os"
	"testing"
	"time"
)

const droppedMetric = "irsa_sidecar_log_lines_dropped_total"

// A full pipe that nobody reads as the log blocks nothing, and a metric counts the
// dropped lines: P1, P4, P8.
func TestFaultLogUnread(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) { // where no other test uses the ports
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
	o := observeWithoutLog(t, full)
	o.waitForDroppedLines(t, 0)
	o.waitForDroppedLines(t, o.droppedLines())
	o.waitForRefresh(t)
	o.end(t)
	unread.Close()
}

// A log whose reader has closed the pipe blocks nothing: P1, P4.
func TestFaultLogClosed(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	unread, closed := newPipe(t)
	unread.Close()
	o := observeWithoutLog(t, closed)
	o.waitForRefresh(t)
	o.end(t)
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

// observeWithoutLog starts a sidecar that cannot write its log, and waits until it
// serves credentials.
func observeWithoutLog(t *testing.T, log *os.File) *observer {
	w := newShortWorld(t)
	cmd := command(t, w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ADMIN_LISTEN=127.0.0.1:9912"))
	cmd.Stdout, cmd.Stderr = log, log
	p := launch(t, cmd)
	p.waitForPorts(t, "127.0.0.1:9911", "127.0.0.1:9912")
	o := observe(t, w, p)
	o.loseLog(true)
	o.waitForCredentials(t)
	return o
}

// waitForDroppedLines makes the sidecar log until the metric is above n. Every new token
// is a line, five a second at most, and the queue takes the first logLines.
func (o *observer) waitForDroppedLines(t *testing.T, n float64) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); o.droppedLines() <= n; {
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v, want more than %v", droppedMetric, o.droppedLines(), n)
		}
		for range 40 {
			o.world.publish(t)
			time.Sleep(25 * time.Millisecond)
		}
	}
}

// droppedLines returns the value of the metric on /metrics.
func (o *observer) droppedLines() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return metric(o.admin("/metrics"), droppedMetric)
}
