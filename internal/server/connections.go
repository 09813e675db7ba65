package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxConnections bounds the connections of a listener. Each costs some
	// 20 kB, and a client that opens one a request and closes none must not
	// exhaust the memory limit of the pod.
	maxConnections = 512

	// longestRequest is more than any request takes that is not stuck.
	longestRequest = 2 * time.Second
)

// connections closes the connection that has been quiet for longest when
// there are too many, so that a new client is always served.
type connections struct {
	max int

	mu sync.Mutex
	// mu guards the fields below.
	byConn map[net.Conn]*list.Element
	quiet  *list.List // of connection, the one whose state is oldest first
}

type connection struct {
	conn  net.Conn
	state http.ConnState
	since time.Time
}

func newConnections(most int) *connections {
	return &connections{max: most, byConn: make(map[net.Conn]*list.Element), quiet: list.New()}
}

// track is an http.Server's ConnState hook.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, known := c.byConn[conn]
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		if known {
			c.quiet.Remove(element)
			delete(c.byConn, conn)
		}
		return
	case known:
		*element.Value.(*connection) = connection{conn, state, time.Now()}
		c.quiet.MoveToBack(element)
	default:
		c.byConn[conn] = c.quiet.PushBack(&connection{conn, state, time.Now()})
	}
	if len(c.byConn) > c.max {
		c.closeQuietest()
	}
}

// closeQuietest closes the connection that has waited longest for a request.
// One with a request on it is spared, unless it is so slow that it is stuck.
func (c *connections) closeQuietest() {
	for element := c.quiet.Front(); element != nil; element = element.Next() {
		quietest := element.Value.(*connection)
		if quietest.state == http.StateActive && time.Since(quietest.since) < longestRequest {
			continue
		}
		// Its StateClosed comes when the server's goroutine notices.
		c.quiet.Remove(element)
		delete(c.byConn, quietest.conn)
		quietest.conn.Close()
		return
	}
}
