package listen

import (
	"bytes"
	"container/list"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// maxLines bounds the lines of a request: net/http bounds only the bytes of headers. The
// SDKs send some twelve, and 12 kB of two-letter headers take 300 kB as a map.
const maxLines = 100

// clientConn is the server's end of a connection. Reading from it fails once a request
// has too many lines.
type clientConn struct {
	net.Conn
	lines     atomic.Int64 // since the last request ended
	pipelined atomic.Bool  // more was sent before a request was answered

	// Whether the server is in a call of Read or Write.
	reading, writing atomic.Bool

	// A Limit's mu guards the fields below.
	state http.ConnState
	since time.Time     // when it came into state
	place *list.Element // nil: not counted
}

func (c *clientConn) Read(p []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.Conn.Read(p)
	c.reading.Store(false)
	if _, more, _ := bytes.Cut(p[:n], []byte("\r\n\r\n")); len(more) > 0 {
		c.pipelined.Store(true)
	}
	if c.lines.Add(int64(bytes.Count(p[:n], []byte("\n")))) > maxLines {
		return 0, errors.New("too many header lines")
	}
	return n, err
}

func (c *clientConn) Write(p []byte) (int, error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	return c.Conn.Write(p)
}

// CloseWrite is what net/http does before it closes a connection whose client still
// sends, so that the answer arrives.
func (c *clientConn) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}

// waitsForClient reports whether the server has read all that the client has sent, and
// waits for more.
func (c *clientConn) waitsForClient() bool {
	return c.reading.Load() && !hasUnread(c.Conn)
}

// evict closes c. In the middle of a request it does so at once: otherwise the kernel
// would keep for minutes what the client does not read. Between requests a client sees a
// proper end.
func (c *clientConn) evict() {
	conn, ok := c.Conn.(interface{ SetLinger(seconds int) error })
	if ok && (c.state == http.StateActive || c.state == stateHandling) {
		conn.SetLinger(0)
	}
	c.Close()
}

// hasUnread reports whether something has arrived on conn that was not read. It is false
// if conn is not a socket.
func hasUnread(conn net.Conn) (has bool) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK) // it is non-blocking
		has = err == nil && n > 0
	})
	return has
}
