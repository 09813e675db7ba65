package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// end is a connection of which only its being closed matters.
type end struct {
	net.Conn
	closed bool
}

func (e *end) Close() error {
	e.closed = true
	return nil
}

// Which connection goes when there is one too many: the connections come one
// after the other, then get into their states in the same order, then wait,
// then one more comes. It is the last in want.
func TestQuietestIsClosed(t *testing.T) {
	const fresh, active, idle = http.StateNew, http.StateActive, http.StateIdle
	tests := []struct {
		name   string
		states []http.ConnState
		wait   time.Duration
		want   []bool // closed
	}{
		{"room left", []http.ConnState{fresh, idle}, 0, []bool{false, false, false}},
		{"the oldest that never sent a request", []http.ConnState{fresh, fresh, idle}, 0, []bool{true, false, false, false}},
		{"the oldest idle one", []http.ConnState{idle, idle, active}, 0, []bool{true, false, false, false}},
		{"not one with a request", []http.ConnState{active, idle, idle}, 0, []bool{false, true, false, false}},
		{"not the two with a request", []http.ConnState{active, active, idle}, 0, []bool{false, false, true, false}},
		{"all are busy: the new one", []http.ConnState{active, active, active}, 0, []bool{false, false, false, true}},
		{"all are busy, nearly stuck", []http.ConnState{active, active, active}, longestRequest - 10*time.Millisecond, []bool{false, false, false, true}},
		{"one that is stuck", []http.ConnState{active, active, active}, longestRequest, []bool{true, false, false, false}},
		{"an idle one before one that is stuck", []http.ConnState{idle, active, active}, longestRequest, []bool{true, false, false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConnections(3)
				var ends []*end
				open := func() {
					e := new(end)
					ends = append(ends, e)
					c.track(e, fresh)
					time.Sleep(time.Millisecond)
				}
				for range tt.states {
					open()
				}
				for i, state := range tt.states {
					if state != fresh {
						c.track(ends[i], active)
						c.track(ends[i], state)
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(tt.wait)
				open()
				var got []bool
				for _, e := range ends {
					got = append(got, e.closed)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got closed %v, want %v", got, tt.want)
				}
				if n := c.quiet.Len(); n != len(c.byConn) || n > c.max {
					t.Errorf("%d connections in the list, %d in the map, at most %d", n, len(c.byConn), c.max)
				}
				for _, e := range ends {
					c.track(e, http.StateClosed)
				}
				checkEmpty(t, c)
			})
		})
	}
}

// A connection that is used again and again is never the quietest.
func TestBusyConnectionStays(t *testing.T) {
	t.Parallel()
	c := newConnections(3)
	busy := new(end)
	c.track(busy, http.StateNew)
	for range 100 {
		c.track(new(end), http.StateNew)
		c.track(busy, http.StateActive)
		c.track(busy, http.StateIdle)
	}
	if busy.closed {
		t.Error("it is closed")
	}
}

// The hook of a connection that was closed can still run once more with
// another state, before it runs with StateClosed.
func TestClosedConnectionIsForgotten(t *testing.T) {
	t.Parallel()
	for _, last := range []http.ConnState{http.StateClosed, http.StateHijacked} {
		c := newConnections(1)
		first, second := new(end), new(end)
		c.track(first, http.StateNew)
		c.track(second, http.StateNew)
		c.track(first, http.StateActive)
		if !first.closed || len(c.byConn) > 1 {
			t.Errorf("first closed: %v, %d connections", first.closed, len(c.byConn))
		}
		c.track(first, last)
		c.track(first, last)
		c.track(second, last)
		checkEmpty(t, c)
	}
}

func checkEmpty(t *testing.T, c *connections) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byConn) != 0 || c.quiet.Len() != 0 {
		t.Errorf("%d connections in the map and %d in the list, want none", len(c.byConn), c.quiet.Len())
	}
}

// Serve with more connections than it allows: those that never sent a request
// go, those with one stay, and a new client is served.
func TestServeBoundsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		door := newDoor(always(sample()), nil)
		ln := newPipes()
		serveOn(t, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "held" {
				<-release
			}
			door.ServeHTTP(w, r)
		}), slog.New(slog.DiscardHandler))

		held := ln.dial(t)
		answer := make(chan reply, 1)
		go func() {
			answer <- exchangeOn(t, held, "GET /v1/credentials?held HTTP/1.1\nHost: localhost\nConnection: close")
		}()
		synctest.Wait()

		const surplus = 88
		var quiet []net.Conn
		for range maxConnections - 1 + surplus {
			quiet = append(quiet, ln.dial(t))
		}
		synctest.Wait()
		for i, conn := range quiet {
			// A deadline that has passed tells an open pipe from a closed one.
			conn.SetReadDeadline(time.Now())
			if _, err := conn.Read(make([]byte, 1)); (err == io.EOF) != (i < surplus) {
				t.Fatalf("connection %d of %d: %v", i, len(quiet), err)
			}
		}
		if got := exchangeOn(t, ln.dial(t), "GET /v1/credentials HTTP/1.1\nHost: localhost\nConnection: close"); got.body != golden {
			t.Errorf("got %d %s", got.status, got.body)
		}
		close(release)
		if got := <-answer; got.body != golden {
			t.Errorf("the held request got %d %s", got.status, got.body)
		}
	})
}

// On real sockets: one client opens connections and closes none, others are
// served, and of those connections nothing is left in the end.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	tracked := newConnections(8)
	srv := &http.Server{Handler: newDoor(always(sample()), nil), ConnState: tracked.track}
	ln := listen(t, "127.0.0.1:0")
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})

	var greedy []net.Conn
	for i := range 50 {
		conn := dial(t, ln.Addr().String())
		greedy = append(greedy, conn)
		if i%2 == 0 { // one that is idle instead of new
			io.WriteString(conn, goodRequest)
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		if i%10 == 9 {
			if got := exchange(t, ln.Addr().String(), "GET /v1/credentials HTTP/1.1\nHost: localhost"); got.body != golden {
				t.Errorf("beside %d connections: got %d %s", i+1, got.status, got.body)
			}
		}
	}
	closed := make(chan struct{}, len(greedy))
	for _, conn := range greedy {
		go func() {
			if _, err := io.Copy(io.Discard, conn); err == nil {
				closed <- struct{}{}
			}
		}()
	}
	for range len(greedy) - tracked.max {
		select {
		case <-closed:
		case <-time.After(patience):
			t.Fatalf("more than %d of %d connections are open", tracked.max, len(greedy))
		}
	}
	for _, conn := range greedy {
		conn.Close()
	}
	deadline := time.Now().Add(patience)
	for tracked.len() > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	checkEmpty(t, tracked)
}

func (c *connections) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byConn)
}
