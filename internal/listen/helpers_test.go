package listen

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
)

const goodRequest = "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"

// golden is what answering answers with.
const golden = `{"AccessKeyId":"ASIAEXAMPLE"}`

// answering answers every request with golden.
func answering() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, golden) })
}

// open listens on a free port of 127.0.0.1.
func open(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve serves handler on ln until the test ends.
func serve(t testing.TB, ln net.Listener, handler http.Handler, limit *Limit) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, limit, nil, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// pipes is a listener whose connections are net.Pipes, so that Serve can run in a
// synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911} }

// dial returns the client's end of a new connection.
func (p *pipes) dial(t testing.TB) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	p.conns <- server
	return client
}

// fakeConn is a connection that only records whether it was closed.
type fakeConn struct {
	net.Conn
	closed bool
}

func (c *fakeConn) Close() error {
	c.closed = true
	return nil
}

// newFakeConn returns a connection that waits for its client.
func newFakeConn() (*clientConn, *fakeConn) {
	fake := new(fakeConn)
	c := &clientConn{Conn: fake}
	c.reading.Store(true)
	return c, fake
}
