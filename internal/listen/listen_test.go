package listen

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

// listeners are of every kind that needs no address that a pod must be given first.
func listeners(t *testing.T) map[string]net.Listener {
	t.Helper()
	loopback, err := Loopback("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	linkLocal, err := LinkLocal("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := Any("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]net.Listener{"LinkLocal": linkLocal, "Any": admin}
	for _, ln := range loopback {
		all["Loopback "+ln.Addr().String()] = ln
	}
	return all
}

// The kernel doubles the sizes, and does not let buffers that were set grow.
func TestConnectionsHaveSmallBuffers(t *testing.T) {
	t.Parallel()
	for name, ln := range listeners(t) {
		var dialer net.Dialer
		dialer.SetMultipathTCP(true)
		client, err := dialer.DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		tcp := conn.(*net.TCPConn)
		if multipath, err := tcp.MultipathTCP(); multipath || err != nil {
			t.Errorf("%s: multipath TCP: %v, %v", name, multipath, err)
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for option, want := range map[int]int{syscall.SO_RCVBUF: 8 << 10, syscall.SO_SNDBUF: 16 << 10} {
				if size, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, option); size > want || size < want/2 || err != nil {
					t.Errorf("%s: option %d is %d, want %d: %v", name, option, size, want, err)
				}
			}
		})
		client.Close()
		conn.Close()
		ln.Close()
	}
}

// What does not fit the buffers arrives whole: headers of almost twelve kilobytes, and an
// answer with a session token of 64 KiB. Longer headers do not.
func TestLongRequestsAndAnswers(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("t", 64<<10)
	for name, ln := range listeners(t) {
		serve(t, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("A")+token) }), NewLimit(8))
		a := strings.Repeat("a", 11<<10)
		got := rawhttp.Exchange(t, ln.Addr().String(), "GET / HTTP/1.0\nA: "+a)
		if got.Status != http.StatusOK || got.Body != a+token {
			t.Errorf("%s: got %d and %d bytes", name, got.Status, len(got.Body))
		}
		got = rawhttp.Exchange(t, ln.Addr().String(), "GET / HTTP/1.0\nA: "+a+a[:2<<10])
		if got.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: headers of 13 KiB: got %d", name, got.Status)
		}
	}
}
