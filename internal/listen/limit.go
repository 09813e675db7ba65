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
	// serve credentials. A thousand with large headers take 40 MB, under the memory limit
	// of the process.
	CredentialsConnections = 1024

	// AdminConnections is the same for the admin listener, which anybody in the
	// cluster can reach and which a few scrapers and probes use.
	AdminConnections = 32

	// A connection may be closed to make room once it has waited so long for a
	// request that none can be on its way, or for the rest of one, or for its client to
	// read an answer, or has had the same request for so long that something is stuck.
	// SDKs send a request at once and whole, but an application that is short of CPU may
	// not get to that for some time.
	longestWait    = 500 * time.Millisecond
	longestStall   = 100 * time.Millisecond
	longestRequest = 2 * time.Second

	// roomPeriod is how often a full Limit checks for connections to close.
	roomPeriod = 10 * time.Millisecond

	// stateHandling is the state of a connection whose request is being handled. It is
	// active before, while the request is read.
	stateHandling http.ConnState = -1
)

// Limit bounds the connections of the listeners that share it. When there are too many,
// new ones wait in the kernel until another has ended, which each does with its next
// answer, or is closed because it waits for its client: a burst of clients is served
// later, not refused. It is safe for concurrent use.
type Limit struct {
	most  int
	freed chan struct{} // receives when a connection has ended

	mu    sync.Mutex // guards byAge and the state of the connections in it
	byAge *list.List // of *clientConn, the one whose state is oldest first
}

// evictable reports whether c may be closed to make room; the caller holds mu. Only what
// waits for its client may be closed soon: others wait for the CPU.
func (c *clientConn) evictable(now time.Time) bool {
	age := now.Sub(c.since)
	switch {
	case age >= longestRequest:
		return true
	case c.state == stateHandling:
		return age >= longestStall && c.writing.Load()
	case c.state == http.StateActive:
		return age >= longestStall && c.waitsForClient()
	}
	return age >= longestWait && c.waitsForClient()
}

// NewLimit returns a Limit of that many connections, or of a quarter of the file
// descriptors that the process may have if that is less: without a free one it could
// neither read the token nor call STS.
func NewLimit(most int) *Limit {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		most = max(1, int(min(uint64(most), files.Cur/4)))
	}
	return &Limit{most: most, freed: make(chan struct{}, 1), byAge: list.New()}
}

// full reports whether there are as many connections as there may be.
func (l *Limit) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byAge.Len() >= l.most
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
	if l.byAge.Len() < l.most {
		return true
	}
	for element := l.byAge.Front(); element != nil; element = element.Next() {
		oldest := element.Value.(*clientConn)
		if now.Sub(oldest.since) < longestStall {
			return false // and so are the others
		}
		if oldest.evictable(now) {
			// Its StateClosed comes when the server's goroutine notices.
			l.forget(oldest)
			oldest.evict()
			return true
		}
	}
	return false
}

// track is an http.Server's ConnState hook. Every connection that is not new was new.
func (l *Limit) track(conn net.Conn, state http.ConnState) {
	c := conn.(*clientConn)
	if state == http.StateIdle {
		c.lines.Store(0)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		l.forget(c)
		select {
		case l.freed <- struct{}{}:
		default:
		}
		return
	case state == http.StateNew:
		c.place = l.byAge.PushBack(c)
	case c.place != nil:
		l.byAge.MoveToBack(c.place)
	}
	c.state, c.since = state, time.Now()
}

// forget removes c from the list, if it is there; the caller holds mu.
func (l *Limit) forget(c *clientConn) {
	if c.place != nil {
		l.byAge.Remove(c.place)
		c.place = nil
	}
}

type connKey struct{}

// handler returns an h that l knows the requests of. Its answer is the last one of a
// connection if others wait for room, or if the client does not wait for answers: no SDK
// pipelines requests, and who does so without reading fills the buffers.
func (l *Limit) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connKey{}).(*clientConn)
		l.track(c, stateHandling)
		if c.pipelined.Load() || l.full() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
