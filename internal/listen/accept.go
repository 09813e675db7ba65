package listen

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
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
			return &clientConn{Conn: conn}, nil
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
