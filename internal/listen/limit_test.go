package listen

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// Which connection makeRoom closes. The connections are opened one after another, enter
// their states in the same order, and then wait.
func TestMakeRoom(t *testing.T) {
	const fresh, active, handling, idle = http.StateNew, http.StateActive, stateHandling, http.StateIdle
	const answering = handling - 1 // handling, and the client does not read
	tests := []struct {
		name   string
		states []http.ConnState
		wait   time.Duration
		room   bool
		want   int // index of the connection that is closed, -1: none
	}{
		{"room left", []http.ConnState{fresh, idle}, 0, true, -1},
		{"all are new", []http.ConnState{fresh, fresh, fresh}, 0, false, -1},
		{"all have just been answered", []http.ConnState{idle, idle, idle}, longestWait - 10*time.Millisecond, false, -1},
		{"the oldest that never sent a request", []http.ConnState{fresh, fresh, idle}, longestWait, true, 0},
		{"the oldest idle one", []http.ConnState{idle, idle, handling}, longestWait, true, 0},
		{"half a request", []http.ConnState{handling, idle, active}, longestStall, true, 2},
		{"not half a request at once", []http.ConnState{active, active, active}, longestStall - 10*time.Millisecond, false, -1},
		{"an answer that is not read", []http.ConnState{fresh, handling, answering}, longestStall, true, 2},
		{"not one that is handled", []http.ConnState{handling, idle, idle}, longestWait, true, 1},
		{"all are busy", []http.ConnState{handling, handling, handling}, longestRequest - 10*time.Millisecond, false, -1},
		{"a stuck one", []http.ConnState{handling, handling, handling}, longestRequest, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimit(3)
				var conns []*clientConn
				var fakes []*fakeConn
				for range tt.states {
					c, fake := newFakeConn()
					conns, fakes = append(conns, c), append(fakes, fake)
					l.track(c, fresh)
					time.Sleep(time.Millisecond)
				}
				for i, state := range tt.states {
					if state == answering {
						conns[i].writing.Store(true)
						state = handling
					}
					if state != fresh {
						l.track(conns[i], active)
						l.track(conns[i], state)
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(tt.wait)
				if room := l.makeRoom(time.Now()); room != tt.room {
					t.Errorf("room: %v, want %v", room, tt.room)
				}
				for i, fake := range fakes {
					if fake.closed != (i == tt.want) {
						t.Errorf("connection %d closed: %v", i, fake.closed)
					}
					l.track(conns[i], http.StateClosed)
				}
				checkEmpty(t, l)
			})
		})
	}
}

// A server that is short of CPU does not blame its clients: what it has not read, or is
// not waiting for, is not late.
func TestMakeRoomWaitsForTheServer(t *testing.T) {
	t.Parallel()
	ln := open(t)
	defer ln.Close()
	client := rawhttp.Dial(t, ln.Addr().String())
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	c := &clientConn{Conn: accepted}
	l := NewLimit(1)
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
		c.place = nil
		l.byAge.Init()
		l.track(c, http.StateNew)
		l.track(c, state)
		late := time.Now().Add(longestRequest - time.Millisecond)
		c.reading.Store(false)
		if c.evictable(late) {
			t.Errorf("state %v: evictable while the server does not read", state)
		}
		c.reading.Store(true)
		if !c.evictable(late) {
			t.Errorf("state %v: not evictable although the client sends nothing", state)
		}
		io.WriteString(client, "G")
		for deadline := time.Now().Add(rawhttp.Patience); !hasUnread(accepted) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if c.evictable(late) {
			t.Errorf("state %v: evictable although the client has sent something", state)
		}
		accepted.Read(make([]byte, 1))
	}
}

// The state hook of a closed connection can run once more with another state before it
// runs with StateClosed.
func TestClosedConnectionIsForgotten(t *testing.T) {
	for _, last := range []http.ConnState{http.StateClosed, http.StateHijacked} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimit(1)
			c, fake := newFakeConn()
			l.track(c, http.StateNew)
			time.Sleep(longestWait)
			if !l.makeRoom(time.Now()) || !fake.closed {
				t.Errorf("closed: %v", fake.closed)
			}
			l.track(c, http.StateActive)
			checkEmpty(t, l)
			l.track(c, last)
			checkEmpty(t, l)
		})
	}
}

func checkEmpty(t *testing.T, l *Limit) {
	t.Helper()
	if n := l.len(); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}

// Every client of a burst beyond the limit is served, and no connection is left
// afterwards.
func TestABurstIsServed(t *testing.T) {
	t.Parallel()
	limit := NewLimit(8)
	ln := open(t)
	serve(t, ln, answering(), limit)
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			if got := rawhttp.Exchange(t, ln.Addr().String(), "GET /v1/credentials HTTP/1.1\nHost: localhost\nConnection: close"); got.Body != golden {
				t.Errorf("got %d %s", got.Status, got.Body)
			}
		})
	}
	clients.Wait()
	waitEmpty(t, limit)
}

// A client that opens connections and closes none does not keep others out.
func TestGreedyClientDoesNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	limit := NewLimit(8)
	ln := open(t)
	serve(t, ln, answering(), limit)
	var greedy []net.Conn
	for i := range 40 {
		conn := rawhttp.Dial(t, ln.Addr().String())
		greedy = append(greedy, conn)
		if i%2 == 0 { // an idle connection instead of a new one
			io.WriteString(conn, goodRequest)
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
	}
	if got := rawhttp.Exchange(t, ln.Addr().String(), "GET /v1/credentials HTTP/1.1\nHost: localhost\nConnection: close"); got.Body != golden {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if n := limit.len(); n > 8 {
		t.Errorf("%d connections, the limit is 8", n)
	}
	for _, conn := range greedy {
		conn.Close()
	}
	waitEmpty(t, limit)
}

// A listener that waits for room stops with the server.
func TestFullListenerStops(t *testing.T) {
	t.Parallel()
	limit := NewLimit(1)
	ln := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Serve(ctx, ln, answering(), limit, nil, slog.New(slog.DiscardHandler))
	}()
	rawhttp.Dial(t, ln.Addr().String())
	for deadline := time.Now().Add(rawhttp.Patience); limit.len() < 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	waitEmpty(t, limit)
}

func TestLimitLeavesFileDescriptors(t *testing.T) {
	t.Parallel()
	if most := NewLimit(1 << 40).most; most < 1 || most >= 1<<40 {
		t.Errorf("the limit is %d", most)
	}
}

func waitEmpty(t *testing.T, l *Limit) {
	t.Helper()
	for deadline := time.Now().Add(rawhttp.Patience); l.len() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	checkEmpty(t, l)
}

func (l *Limit) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byAge.Len()
}

// makeRoom does not close a recently used connection, even if it is older.
func TestMakeRoomRemembersTheLatestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(2)
		older, fakeOlder := newFakeConn()
		younger, fakeYounger := newFakeConn()
		for _, c := range []*clientConn{older, younger} {
			l.track(c, http.StateNew)
			l.track(c, http.StateActive)
			l.track(c, http.StateIdle)
		}
		time.Sleep(time.Millisecond)
		l.track(older, http.StateActive)
		l.track(older, http.StateIdle)
		time.Sleep(longestWait)
		if !l.makeRoom(time.Now()) || fakeOlder.closed || !fakeYounger.closed {
			t.Errorf("closed: the older %v, the younger %v", fakeOlder.closed, fakeYounger.closed)
		}
	})
}
