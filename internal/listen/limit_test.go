package listen

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// Which connection makeRoom closes. The connections are opened one after another, enter
// their states in the same order, and then wait.
func TestMakeRoom(t *testing.T) {
	const fresh, active, idle = http.StateNew, http.StateActive, http.StateIdle
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
		{"the oldest idle one", []http.ConnState{idle, idle, active}, longestWait, true, 0},
		{"not one with a request", []http.ConnState{active, idle, idle}, longestWait, true, 1},
		{"not the two with a request", []http.ConnState{active, active, idle}, longestWait, true, 2},
		{"all are busy", []http.ConnState{active, active, active}, longestRequest - 10*time.Millisecond, false, -1},
		{"a stuck one", []http.ConnState{active, active, active}, longestRequest, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimit(3)
				var conns []*fakeConn
				for range tt.states {
					c := new(fakeConn)
					conns = append(conns, c)
					l.track(c, fresh)
					time.Sleep(time.Millisecond)
				}
				for i, state := range tt.states {
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
				for i, c := range conns {
					if c.closed != (i == tt.want) {
						t.Errorf("connection %d closed: %v", i, c.closed)
					}
					l.track(c, http.StateClosed)
				}
				checkEmpty(t, l)
			})
		})
	}
}

// The state hook of a closed connection can run once more with another state before it
// runs with StateClosed.
func TestClosedConnectionIsForgotten(t *testing.T) {
	for _, last := range []http.ConnState{http.StateClosed, http.StateHijacked} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimit(1)
			first := new(fakeConn)
			l.track(first, http.StateNew)
			time.Sleep(longestWait)
			if !l.makeRoom(time.Now()) || !first.closed {
				t.Errorf("first closed: %v", first.closed)
			}
			l.track(first, http.StateActive)
			checkEmpty(t, l)
			l.track(first, last)
			checkEmpty(t, l)
		})
	}
}

func checkEmpty(t *testing.T, l *Limit) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byConn) != 0 || l.byAge.Len() != 0 {
		t.Errorf("%d connections in the map and %d in the list, want none", len(l.byConn), l.byAge.Len())
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
		done <- Serve(ctx, ln, answering(), limit, slog.New(slog.DiscardHandler))
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
	return len(l.byConn)
}

// makeRoom does not close a recently used connection, even if it is older.
func TestMakeRoomRemembersTheLatestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(2)
		older, younger := new(fakeConn), new(fakeConn)
		for _, c := range []*fakeConn{older, younger} {
			l.track(c, http.StateNew)
			l.track(c, http.StateActive)
			l.track(c, http.StateIdle)
		}
		time.Sleep(time.Millisecond)
		l.track(older, http.StateActive)
		l.track(older, http.StateIdle)
		time.Sleep(longestWait)
		if !l.makeRoom(time.Now()) || older.closed || !younger.closed {
			t.Errorf("closed: the older %v, the younger %v", older.closed, younger.closed)
		}
	})
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
