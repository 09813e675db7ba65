package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/internal/listen"
)

// A client that opens a connection for every request and closes none takes
// nothing from the others: P1.
func TestFaultIdleConnections(t *testing.T) {
	t.Parallel()
	raiseFileLimit(t, 11_000)
	if !inNamespaces(t) { // where all ports are free
		return
	}
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	hoard(t, p.endpoint, 10_000, time.Millisecond)
	o.waitForRefresh(t)
	o.end(t)
}

// Nor with few file descriptors: they are left for what the sidecar itself
// needs, P1, P4.
func TestFaultFewFiles(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := launch(t, through(command(t, w.environment()), "ulimit -n 64"))
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	hoard(t, p.endpoint, 200, 50*time.Millisecond)
	o.waitForRefresh(t)
	o.end(t)
}

// Clients that send a byte at a time, and clients that never read an answer, take
// nothing from the others and do not hold up the end: P1, P8.
func TestFaultSlowClients(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	for range 100 {
		dawdle(t, p.endpoint)
	}
	for range 20 {
		refuseToRead(t, p.endpoint)
	}
	o.waitForRefresh(t)
	o.waitForRefresh(t)
	o.end(t)
}

// Nor do clients that fill their headers with as many names as they can, although
// memory is scarce: P1.
func TestFaultManyHeaders(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := launchSmall(t, w)
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	var names strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&names, "%03x:\r\n", i)
	}
	for range 1000 {
		conn, err := net.Dial("tcp", p.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, strings.TrimSuffix(request, "\r\n")+names.String()) // it may be cut off
	}
	o.waitForRefresh(t)
	o.end(t)
}

// Nor does the admin port, which has a few connections of its own: P1.
func TestFaultAdminConnections(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	for range listen.AdminConnections {
		conn, err := net.Dial("tcp", p.admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, strings.TrimSuffix(request, "\r\n")) // it waits for the end
	}
	asked := time.Now()
	get(t, "http://"+p.admin+"/healthz")
	if waited := time.Since(asked); waited < 300*time.Millisecond {
		t.Errorf("all connections of the admin port are busy, and one more is answered after %v", waited)
	}
	o.waitForRefresh(t)
	o.end(t)
}

const request = "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"

// hoard opens so many connections, one a pace, asks once on each, and keeps all
// until the test ends.
func hoard(t *testing.T, addr string, n int, pace time.Duration) {
	t.Helper()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, request)
		<-tick.C
	}
}

// dawdle sends a request byte by byte until the test ends, and begins anew
// whenever the server has had enough.
func dawdle(t *testing.T, addr string) {
	keepConnecting(t, addr, func(conn net.Conn) {
		for _, b := range []byte(request) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	})
}

// refuseToRead asks on and on without reading an answer until the test ends, and
// begins anew whenever the server has had enough.
func refuseToRead(t *testing.T, addr string) {
	keepConnecting(t, addr, func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, request); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// keepConnecting has connections used, one after the other, until the test ends.
func keepConnecting(t *testing.T, addr string, use func(net.Conn)) {
	// Answers that nobody reads are soon felt where there is little room for them.
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			conn, err := dialer.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				return // it has ended
			}
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			use(conn)
			stop()
			conn.Close()
		}
	}()
	t.Cleanup(func() { <-done })
}

// raiseFileLimit lets the test itself have so many files. Where an ordinary user
// may not, it is skipped.
func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < n && os.Getuid() != 0 {
		t.Skipf("user id %d may have %d open files, not %d", os.Getuid(), limit.Max, n)
	}
	limit.Cur, limit.Max = max(limit.Cur, n), max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
