package main

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

const droppedMetric = "irsa_sidecar_log_lines_dropped_total"

// A full pipe that nobody reads as the log blocks nothing, and a metric counts the
// dropped lines: P1, P4, P8.
func TestFaultLogUnread(t *testing.T) {
	logTest(t, func(_, full *os.File) {
		var err error
		for err == nil {
			full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, err = full.Write(make([]byte, 4096))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}, func(f *fault) {
		f.waitForDroppedLines(0)
		f.waitForDroppedLines(f.droppedLines())
	})
}

// A log whose reader has closed the pipe blocks nothing: P1, P4.
func TestFaultLogClosed(t *testing.T) {
	logTest(t, func(unread, _ *os.File) { unread.Close() }, nil)
}

// logTest is a faultTest of a sidecar that logs to a pipe, whose ends prepare gets.
func logTest(t *testing.T, prepare func(r, w *os.File), cause func(*fault)) {
	t.Helper()
	setup{enter: inNamespaces, withoutLog: true, launch: func(t *testing.T, cmd *exec.Cmd) *process {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		prepare(r, w)
		cmd.Stdout, cmd.Stderr = w, w
		return launch(t, cmd)
	}}.faultTest(t, cause)
}

// waitForDroppedLines makes the sidecar log until the metric is above n. Every new token
// is a line, five a second at most, and the queue takes the first logLines.
func (o *observer) waitForDroppedLines(n float64) {
	o.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); o.droppedLines() <= n; {
		if time.Now().After(deadline) {
			o.t.Fatalf("%s is %v, want more than %v", droppedMetric, o.droppedLines(), n)
		}
		for range 40 {
			o.world.publish(o.t)
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
