package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestLogWriter(t *testing.T) {
	var log lockedBuffer
	l := newLogWriter(&log)
	line := []byte("one\n")
	l.Write(line)
	copy(line, "two\n") // as a handler that reuses its buffer
	l.Write(line)
	l.flush()
	if got := log.String(); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

// P1, P8: it waits for nobody, and goes on when somebody reads again.
func TestLogWriterDropsWhatNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	l := newLogWriter(w)
	for range 10 * logLines {
		l.Write([]byte("lost?\n"))
	}
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
	if n := strings.Count(got, "lost?\n"); n < logLines || n > 2*logLines || !strings.HasSuffix(got, "afterwards\n") {
		t.Errorf("%d lines of %d, and at the end %q", n, 10*logLines, got[max(0, len(got)-20):])
	}
}

func TestLogWriterEndsThoughNobodyReads(t *testing.T) {
	_, w := io.Pipe()
	l := newLogWriter(w)
	l.Write([]byte("never read\n"))
	l.flush() // or the test does not end
}
