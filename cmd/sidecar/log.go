package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// lineTime is how long a line of the log waits for whoever reads it.
const lineTime = 100 * time.Millisecond

// unblocked returns a writer to f, a log, that drops lines instead of waiting: when
// the disk of a node is full, what reads the logs of its containers may stop to, and
// a process that goes on writing to the full pipe stands still for ever.
func unblocked(f *os.File) io.Writer {
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return f
	}
	fd := f.Fd()
	if err := syscall.SetNonblock(int(fd), true); err != nil {
		return f
	}
	return &impatient{file: os.NewFile(fd, f.Name())}
}

// impatient writes to a file that may be full. It is for one writer at a time, as
// an slog.Handler is, that writes whole lines: a pipe takes one of up to 4 KiB
// entirely or not at all.
type impatient struct {
	file *os.File
	full bool // at the last write
}

func (w *impatient) Write(line []byte) (int, error) {
	patience := lineTime
	if w.full {
		patience = time.Millisecond
	}
	if err := w.file.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := w.file.Write(line)
	w.full = errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}
