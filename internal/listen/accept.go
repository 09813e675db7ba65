package listen

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLines bounds the lines of a request. The SDKs send some twelve, and 12 kB of
	// two-letter headers take 300 kB as a map.
	maxLines = 100

	// A failed accept is repeated after firstPause, then after twice as long each time,
	// up to longestPause.
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second

	// warnPeriod is how long accepting must have worked before another failure is
	// worth a warning.
	warnPeriod = time.Minute
)

// limitedListener accepts no more connections than its limit allows. It fails only when
// it is closed: any other error of accept(2) concerns one connection, or passes, and
// credentials in memory are worth more than a restart.
type limitedListener struct {
	net.Listener
	limit     *Limit
	log       *slog.Logger
	once      sync.Once
	closed    chan struct{}
	pause     time.Duration // after the latest failure; 0: accepting works
	failureAt time.Time     // the latest
}

func (l *Limit) listener(ln net.Listener, log *slog.Logger) net.Listener {
	return &limitedListener{Listener: ln, limit: l, log: log, closed: make(chan struct{})}
}

// Accept must not be called concurrently; net/http does not.
func (ln *limitedListener) Accept() (net.Conn, error) {
	for {
		ln.limit.waitForRoom(ln.closed)
		conn, err := ln.Listener.Accept()
		if err == nil {
			ln.pause = 0
			return &lineCounter{Conn: conn}, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		ln.failed(err)
		select {
		case <-ln.closed:
		case <-time.After(ln.pause):
		}
	}
}

// failed sets the pause after err, and warns of it if that is news.
func (ln *limitedListener) failed(err error) {
	if ln.failureAt.IsZero() || time.Since(ln.failureAt) >= warnPeriod {
		ln.log.Warn("accepting a connection failed, trying again", "error", err.Error())
	}
	ln.failureAt = time.Now()
	ln.pause = min(max(2*ln.pause, firstPause), longestPause)
}

func (ln *limitedListener) Close() error {
	ln.once.Do(func() { close(ln.closed) })
	return ln.Listener.Close()
}

// lineCounter is a connection that fails to read more lines than one request may have:
// net/http bounds only the bytes of headers.
type lineCounter struct {
	net.Conn
	lines atomic.Int64 // since the last request ended
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.lines.Add(int64(bytes.Count(p[:n], []byte("\n")))) > maxLines {
		return 0, errors.New("too many header lines")
	}
	return n, err
}

// CloseWrite is what net/http does before it closes a connection whose client still
// sends, so that the answer arrives.
func (c *lineCounter) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}
