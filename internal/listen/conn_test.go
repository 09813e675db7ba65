package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// Reading fails once a connection has sent too many lines.
func TestTooManyLines(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	conn := &clientConn{Conn: server}
	go io.WriteString(client, strings.Repeat("\n", maxLines+1))
	if n, err := conn.Read(make([]byte, 1024)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

// The limit of a hundred lines is for each request, not for the connection.
func TestLinesAreCountedPerRequest(t *testing.T) {
	ln := open(t)
	serve(t, ln, answering(), NewLimit(CredentialsConnections))
	conn := rawhttp.Dial(t, ln.Addr().String())
	answers := bufio.NewReader(conn)
	for i := range 3 {
		io.WriteString(conn, strings.TrimSuffix(goodRequest, "\r\n")+strings.Repeat("A: b\r\n", maxLines-10)+"\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: got %v, %v", i, resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// A client that sends the next request before it has read an answer gets that answer, and
// no other.
func TestPipelinedRequestsAreNotAnswered(t *testing.T) {
	t.Parallel()
	ln := open(t)
	serve(t, ln, answering(), NewLimit(CredentialsConnections))
	conn := rawhttp.Dial(t, ln.Addr().String())
	io.WriteString(conn, goodRequest+goodRequest[:20])
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := rawhttp.Parse(t, string(raw)); got.Body != golden || got.Header.Get("Connection") != "close" {
		t.Errorf("got %q", raw)
	}
}

// Without room for others, an answer is the last one of its connection, and says so.
func TestAnswersMakeRoom(t *testing.T) {
	t.Parallel()
	limit := NewLimit(2)
	ln := open(t)
	serve(t, ln, answering(), limit)
	ask := func(conn net.Conn) (*http.Response, error) {
		io.WriteString(conn, goodRequest)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
		}
		return resp, err
	}
	first := rawhttp.Dial(t, ln.Addr().String())
	if resp, err := ask(first); err != nil || resp.Close {
		t.Fatalf("the first answer: %v, %v", resp, err)
	}
	second := rawhttp.Dial(t, ln.Addr().String())
	for deadline := time.Now().Add(rawhttp.Patience); !limit.full() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if resp, err := ask(first); err != nil || !resp.Close {
		t.Errorf("without room: %v, %v", resp, err)
	}
	if _, err := ask(second); err != nil {
		t.Errorf("the other: %v", err)
	}
}

// Nothing that a client has not read outlives a connection that was closed in the middle
// of a request to make room. One that was closed between requests has a proper end.
func TestEvict(t *testing.T) {
	t.Parallel()
	ln := open(t)
	defer ln.Close()
	for state, reset := range map[http.ConnState]bool{
		http.StateNew: false, http.StateIdle: false, http.StateActive: true, stateHandling: true,
	} {
		client := rawhttp.Dial(t, ln.Addr().String())
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(accepted, "unread")
		(&clientConn{Conn: accepted, state: state}).evict()
		if all, err := io.ReadAll(client); (err != nil) != reset {
			t.Errorf("state %v: got %q, %v", state, all, err)
		}
	}
}
