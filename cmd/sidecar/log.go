package main

import (
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// logLines is how many lines of the log may wait for the reader.
	logLines = 100

	// flushTime is how long the process waits for the reader before it exits.
	flushTime = 100 * time.Millisecond
)

// logWriter is a log that never blocks the writer: while nobody reads its lines, it drops
// new ones. It counts what is lost. When a node's disk is full, the container runtime may stop
// reading the output of containers, and a process that wrote to the pipe directly would
// block for ever. It is safe for concurrent use.
type logWriter struct {
	lines   chan []byte
	flushed chan struct{}
	dropped prometheus.Counter
}

// newLogWriter returns a logWriter to w.
func newLogWriter(w io.Writer) *logWriter {
	l := &logWriter{
		lines:   make(chan []byte, logLines),
		flushed: make(chan struct{}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irsa_sidecar_log_lines_dropped_total",
			Help: "Log lines that were lost because nobody read them.",
		}),
	}
	go func() {
		for line := range l.lines {
			if line == nil {
				close(l.flushed)
				return
			}
			if _, err := w.Write(line); err != nil {
				l.dropped.Inc()
			}
		}
	}()
	return l
}

// Write takes a line, or drops it.
func (l *logWriter) Write(line []byte) (int, error) {
	select {
	case l.lines <- append([]byte{}, line...): // which is never nil
	default:
		l.dropped.Inc()
	}
	return len(line), nil
}

// flush waits until everything that was written has been read, but not for long. What is
// written later is lost.
func (l *logWriter) flush() {
	timeout := time.After(flushTime)
	select {
	case l.lines <- nil:
	case <-timeout:
		return
	}
	select {
	case <-l.flushed:
	case <-timeout:
	}
}
