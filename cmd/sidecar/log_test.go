package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/harness"
)

func TestLogWriter(t *testing.T) {
	var log harness.Buffer
	l := newLogWriter(&log)
	line := []byte("one\n")
	l.Write(line)
	copy(line, "two\n") // like a handler that reuses its buffer
	l.Write(line)
	l.flush()
	if got := log.String(); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	if n := testutil.ToFloat64(l.dropped); n != 0 {
		t.Errorf("the metric counts %v dropped lines, want 0", n)
	}
}

// P1, P8: it never waits for the reader, counts what it drops, and continues when the
// reader does.
func TestLogWriterDropsWhatNobodyReads(t *testing.T) {
	const written = 10 * logLines
	r, w := io.Pipe()
	l := newLogWriter(w)
	for range written {
		if n, err := l.Write([]byte("lost?\n")); n != len("lost?\n") || err != nil {
			t.Fatalf("Write: got %d, %v", n, err)
		}
	}
	dropped := testutil.ToFloat64(l.dropped)
	all := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		all <- string(b)
	}()
	for len(l.lines) > 0 {
		time.Sleep(time.Millisecond)
	}
	l.Write([]byte("afterwards\n"))
	l.flush()
	w.Close()
	got := <-all
	// In addition to the queue, one line may be in a Write to the pipe.
	read := strings.Count(got, "lost?\n")
	if read < logLines || read > logLines+1 || !strings.HasSuffix(got, "afterwards\n") {
		t.Errorf("read %d lines of %d, want %d or one more; the end is %q", read, written, logLines, got[max(0, len(got)-20):])
	}
	if dropped != float64(written-read) {
		t.Errorf("the metric counts %v dropped lines, want %d", dropped, written-read)
	}
	if n := testutil.ToFloat64(l.dropped); n != dropped {
		t.Errorf("with a reader, the metric went from %v to %v", dropped, n)
	}
}

func TestLogWriterFlushesWithoutAReader(t *testing.T) {
	_, w := io.Pipe()
	l := newLogWriter(w)
	l.Write([]byte("never read\n"))
	l.flush() // must return, or the test times out
}

// A line that cannot be written is lost, too: the reader of the pipe is gone.
func TestLogWriterCountsLinesWithoutAReader(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	l := newLogWriter(w)
	l.Write([]byte("lost\n"))
	l.flush()
	if got := testutil.ToFloat64(l.dropped); got != 1 {
		t.Errorf("%v lines counted as dropped, want 1", got)
	}
}
