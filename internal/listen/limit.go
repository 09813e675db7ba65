package listen

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// CredentialsConnections bounds the concurrent connections to all endpoints that
	// serve credentials. Each costs some 30 kB when its headers are large, and a client
	// that opens one per request and closes none must not exhaust the pod's memory limit.
	CredentialsConnections = 1024

	// AdminConnections is the same for the admin listener, which anybody in the
	// cluster can reach and which a few scrapers and probes use.
	AdminConnections = 32

	// A connection may be closed to make room once it has waited so long for a
	// request that none can be on its way, or has had the same request for so long
	// that its client is stuck.
	longestWait    = 500 * time.Millisecond
	longestRequest = 2 * time.Second

	// roomPeriod is how often a full Limit checks for connections to close.
	roomPeriod = 100 * time.Millisecond
)

// Limit bounds the connections of the listeners that share it. When there are too many,
// new ones wait in the kernel until another has ended, or has waited for a request for
// half a second and is closed: a burst of clients is served later, not refused. It is
// safe for concurrent use.
type Limit struct {
	most  int
	freed chan struct{} // receives when a connection has ended

	mu sync.Mutex
	// mu guards the fields below.
	byConn map[net.Conn]*list.Element
	byAge  *list.List // of *connection, the one whose state is oldest first
}

type connection struct {
	conn  net.Conn
	state http.ConnState
	since time.Time // when it came into state
}

// evictable reports whether c may be closed to make room.
func (c *connection) evictable(now time.Time) bool {
	if c.state == http.StateActive {
		return now.Sub(c.since) >= longestRequest
	}
	return now.Sub(c.since) >= longestWait
}

// NewLimit returns a Limit of that many connections, or of a quarter of the file
// descriptors that the process may have if that is less: without a free one it could
// neither read the token nor call STS.
func NewLimit(most int) *Limit {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		most = max(1, int(min(uint64(most), files.Cur/4)))
	}
	return &Limit{most: most, freed: make(chan struct{}, 1), byConn: make(map[net.Conn]*list.Element), byAge: list.New()}
}

// waitForRoom returns when there is room for another connection, or closed is closed.
func (l *Limit) waitForRoom(closed <-chan struct{}) {
	for !l.makeRoom(time.Now()) {
		select {
		case <-closed:
			return
		case <-l.freed:
		case <-time.After(roomPeriod):
		}
	}
}

// makeRoom reports whether there is room for another connection. If need be, it closes
// the evictable connection whose state is oldest.
func (l *Limit) makeRoom(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byConn) < l.most {
		return true
	}
	for element := l.byAge.Front(); element != nil; element = element.Next() {
		if oldest := element.Value.(*connection); oldest.evictable(now) {
			// Its StateClosed comes when the server's goroutine notices.
			l.forget(oldest.conn)
			oldest.conn.Close()
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
		*element.Value.(*connection) = connection{conn: conn, state: state, since: time.Now()}
		l.byAge.MoveToBack(element)
	case state == http.StateNew:
		l.byConn[conn] = l.byAge.PushBack(&connection{conn: conn, state: state, since: time.Now()})
	}
}

// forget removes a connection from the lists; the caller holds mu.
func (l *Limit) forget(conn net.Conn) {
	if element, known := l.byConn[conn]; known {
		l.byAge.Remove(element)
		delete(l.byConn, conn)
	}
}
