package main

import (
	"io"
	"time"
)

const (
	// logLines is how many lines of the log may wait for whoever reads it.
	logLines = 100

	// flushTime is how long the process waits at its end for them to be read.
	flushTime = 100 * time.Millisecond
)

// logWriter is a log that never holds up who writes to it: when nobody takes its
// lines, later ones are dropped. With the disk of a node full, what reads the output
// of its containers may stop to, and a process that went on writing to the pipe would
// stand still for ever. It is safe for concurrent use.
type logWriter struct {
	lines   chan []byte
	flushed chan struct{}
}

// newLogWriter returns a logWriter to w.
func newLogWriter(w io.Writer) *logWriter {
	l := &logWriter{lines: make(chan []byte, logLines), flushed: make(chan struct{})}
	go func() {
		for line := range l.lines {
			if line == nil {
				close(l.flushed)
				return
			}
			w.Write(line) // a failure has nowhere to be told
		}
	}()
	return l
}

// Write takes a line, or drops it.
func (l *logWriter) Write(line []byte) (int, error) {
	select {
	case l.lines <- append([]byte{}, line...): // which is never nil
	default:
	}
	return len(line), nil
}

// flush has what was written come out, if it does so soon. What is written later is
// lost.
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
