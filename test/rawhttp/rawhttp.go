// Package rawhttp sends HTTP requests in tests exactly as written, and returns answers
// exactly as received: net/http's client would correct both.
package rawhttp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// Patience is how long a test waits for a real socket.
const Patience = 10 * time.Second

// Reply is an answer. Its body is as it was on the wire.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Dial connects to addr until the test ends, for Patience at most.
func Dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(Patience))
	return conn
}

// Exchange sends a request over a new connection and returns the answer. The request has
// plain line feeds, and no empty line at its end.
func Exchange(t testing.TB, addr, request string) Reply {
	t.Helper()
	conn := Dial(t, addr)
	defer conn.Close()
	return ExchangeOn(t, conn, request+"\nConnection: close")
}

// ExchangeOn is Exchange over conn, which the server is expected to close.
func ExchangeOn(t testing.TB, conn net.Conn, request string) Reply {
	t.Helper()
	if _, err := io.WriteString(conn, Wire(request)); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", raw, err)
	}
	return Parse(t, string(raw))
}

// Wire returns such a request in the form in which it is sent.
func Wire(request string) string {
	return strings.ReplaceAll(request, "\n", "\r\n") + "\r\n\r\n"
}

// Parse parses an answer.
func Parse(t testing.TB, raw string) Reply {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	line, fields, _ := strings.Cut(head, "\r\n")
	var minor int
	r := Reply{Body: body}
	if _, err := fmt.Sscanf(line, "HTTP/1.%d %d", &minor, &r.Status); err != nil {
		t.Fatalf("status line of %q: %v", raw, err)
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("header of %q: %v", raw, err)
	}
	r.Header = http.Header(header)
	return r
}
