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

// A client that opens a connection for every request and closes none does not affect
// other clients: P1.
func TestFaultIdleConnections(t *testing.T) {
	raiseFileLimit(t, 11_000)
	// In a network namespace all ports are free for 10,000 connections.
	setup{enter: inNamespaces}.faultTest(t, func(f *fault) {
		hoard(t, f.p.endpoint, 10_000, time.Millisecond)
	})
}

// If clients keep more connections than the sidecar has file descriptors, some of these
// are left for the sidecar itself: P1, P4.
func TestFaultFewFiles(t *testing.T) {
	setup{launch: launchWithFewFiles}.faultTest(t, func(f *fault) {
		hoard(t, f.p.endpoint, 200, 50*time.Millisecond)
	})
}

// Clients that send a byte at a time, and clients that never read an answer, do not
// affect other clients or delay the exit: P1, P8.
func TestFaultSlowClients(t *testing.T) {
	faultTest(t, func(f *fault) {
		for range 100 {
			dawdle(t, f.p.endpoint)
		}
		for range 20 {
			refuseToRead(t, f.p.endpoint)
		}
		f.waitForRefresh()
	})
}

// Clients that send as many header names as they can do not affect other clients, even
// if memory is scarce: P1.
func TestFaultManyHeaders(t *testing.T) {
	var names strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&names, "%03x:\r\n", i)
	}
	setup{launch: launchSmall}.faultTest(t, func(f *fault) {
		for range 1000 {
			send(t, f.p.endpoint, strings.TrimSuffix(request, "\r\n")+names.String()) // the server may close the connection before the end
		}
	})
}

// Clients that take all connections of the admin port, whose limit is its own, do not
// affect the clients of the endpoints: P1.
func TestFaultAdminConnections(t *testing.T) {
	faultTest(t, func(f *fault) {
		begin := time.Now() // no connection is closed to make room before it is half a second old
		for range listen.AdminConnections {
			send(t, f.p.admin, strings.TrimSuffix(request, "\r\n")) // the server waits for the rest
		}
		get(t, "http://"+f.p.admin+"/healthz")
		if waited := time.Since(begin); waited < 300*time.Millisecond {
			t.Errorf("with all connections of the admin port in use, one more was answered after only %v", waited)
		}
	})
}

// hoard opens n connections, one per pace, sends one request on each, and keeps them
// open until the test ends.
func hoard(t *testing.T, addr string, n int, pace time.Duration) {
	t.Helper()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range n {
		send(t, addr, request)
		<-tick.C
	}
}

// send sends text on a new connection, which stays open until the test ends.
func send(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, text)
}

// dawdle sends a request byte by byte, and again on a new connection when the server
// closes the old one, until the test ends.
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

// refuseToRead sends requests without reading an answer, and again on a new connection
// when the server closes the old one, until the test ends.
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

// keepConnecting calls use with one new connection after the other until the test ends.
func keepConnecting(t *testing.T, addr string, use func(net.Conn)) {
	// A small receive buffer, so that unread answers soon block the server.
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			conn, err := dialer.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				return // the sidecar has exited
			}
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			use(conn)
			stop()
			conn.Close()
		}
	}()
	t.Cleanup(func() { <-done })
}

// raiseFileLimit lets the test itself open n files. It skips the test if an ordinary
// user may not.
func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < n && os.Getuid() != 0 {
		t.Skipf("user id %d may open %d files, and the test needs %d", os.Getuid(), limit.Max, n)
	}
	limit.Cur, limit.Max = max(limit.Cur, n), max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
