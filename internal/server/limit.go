package server

import (
	"bytes"
	"container/list"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// DoorConnections is the most connections that doors have at a time. Each
	// costs some 30 kB when its headers are large, and a client that opens one
	// a request and closes none must not exhaust the memory limit of the pod.
	DoorConnections = 1024

	// AdminConnections is the same for the admin listener, which anybody in the
	// cluster can reach and which a few scrapers and probes use.
	AdminConnections = 32

	// A connection may be closed to make room once it has waited so long for a
	// request that none can be on its way, or has had the same one for so long
	// that its client is stuck.
	longestQuiet   = 500 * time.Millisecond
	longestRequest = 2 * time.Second

	// maxLines is how many lines a request may have. The SDKs' have some twelve, and
	// those of 12 kB of two-letter headers take 300 kB as a map.
	maxLines = 100

	// roomPeriod is how often a listener without room looks for quiet
	// connections.
	roomPeriod = 100 * time.Millisecond
)

// Limit bounds the connections of the listeners that share it. When there are
// too many, new ones wait in the kernel until another has ended, or has been
// quiet for half a second and is closed: a burst of clients is served later, not
// turned away. It is safe for concurrent use.
type Limit struct {
	most  int
	freed chan struct{} // tells that a connection has ended

	mu sync.Mutex
	// mu guards the fields below.
	byConn map[net.Conn]*list.Element
	quiet  *list.List // of connection, the one whose state is oldest first
}

type connection struct {
	conn  net.Conn
	state http.ConnState
	since time.Time // when it came into state
}

// spare tells whether c may be closed to make room.
func (c *connection) spare(now time.Time) bool {
	if c.state == http.StateActive {
		return now.Sub(c.since) >= longestRequest
	}
	return now.Sub(c.since) >= longestQuiet
}

// NewLimit returns a Limit of that many connections, or of a quarter of the
// file descriptors that the process may have, if that is less: without any left
// neither the token could be read nor STS be asked.
func NewLimit(most int) *Limit {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		most = max(1, int(min(uint64(most), files.Cur/4)))
	}
	return &Limit{most: most, freed: make(chan struct{}, 1), byConn: make(map[net.Conn]*list.Element), quiet: list.New()}
}

// listener returns a listener that accepts no more connections than l allows.
func (l *Limit) listener(ln net.Listener) net.Listener {
	return &limitedListener{Listener: ln, limit: l, closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	limit  *Limit
	once   sync.Once
	closed chan struct{}
}

func (ln *limitedListener) Accept() (net.Conn, error) {
	ln.limit.waitForRoom(ln.closed)
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lineCounter{Conn: conn}, nil
}

// lineCounter is a connection that fails to read more lines than one request may
// have: net/http bounds headers by their bytes alone.
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

func (ln *limitedListener) Close() error {
	ln.once.Do(func() { close(ln.closed) })
	return ln.Listener.Close()
}

// waitForRoom returns when there is room for another connection, or closed is.
func (l *Limit) waitForRoom(closed <-chan struct{}) {
	for !l.hasRoom(time.Now()) {
		select {
		case <-closed:
			return
		case <-l.freed:
		case <-time.After(roomPeriod):
		}
	}
}

// hasRoom tells whether there is room for another connection, after closing the
// quietest one if need be.
func (l *Limit) hasRoom(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byConn) < l.most {
		return true
	}
	for element := l.quiet.Front(); element != nil; element = element.Next() {
		if quietest := element.Value.(*connection); quietest.spare(now) {
			// Its StateClosed comes when the server's goroutine notices.
			l.forget(quietest.conn)
			quietest.conn.Close()
			return true
		}
	}
	return false
}

// track is an http.Server's ConnState hook.
func (l *Limit) track(conn net.Conn, state http.ConnState) {
	if counter, ok := conn.(*lineCounter); ok && state == http.StateIdle {
		counter.lines.Store(0)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	element, known := l.byConn[conn]
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		l.forget(conn)
		select {
		case l.freed <- struct{}{}:
		default:
		}
	case known:
		*element.Value.(*connection) = connection{conn, state, time.Now()}
		l.quiet.MoveToBack(element)
	case state == http.StateNew:
		l.byConn[conn] = l.quiet.PushBack(&connection{conn, state, time.Now()})
	}
}

// forget takes a connection off the lists; the caller holds mu.
func (l *Limit) forget(conn net.Conn) {
	if element, known := l.byConn[conn]; known {
		l.quiet.Remove(element)
		delete(l.byConn, conn)
	}
}
