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

// end is a connection of which only its being closed matters.
type end struct {
	net.Conn
	closed bool
}

func (e *end) Close() error {
	e.closed = true
	return nil
}

// Which connection goes when there is no room: the connections come one after
// the other, then get into their states in the same order, then wait.
func TestMakeRoom(t *testing.T) {
	const fresh, active, idle = http.StateNew, http.StateActive, http.StateIdle
	tests := []struct {
		name   string
		states []http.ConnState
		wait   time.Duration
		room   bool
		want   int // the one that is closed, -1: none
	}{
		{"room left", []http.ConnState{fresh, idle}, 0, true, -1},
		{"all are new", []http.ConnState{fresh, fresh, fresh}, 0, false, -1},
		{"all have just been answered", []http.ConnState{idle, idle, idle}, longestWait - 10*time.Millisecond, false, -1},
		{"the oldest that never sent a request", []http.ConnState{fresh, fresh, idle}, longestWait, true, 0},
		{"the oldest idle one", []http.ConnState{idle, idle, active}, longestWait, true, 0},
		{"not one with a request", []http.ConnState{active, idle, idle}, longestWait, true, 1},
		{"not the two with a request", []http.ConnState{active, active, idle}, longestWait, true, 2},
		{"all are busy", []http.ConnState{active, active, active}, longestRequest - 10*time.Millisecond, false, -1},
		{"one that is stuck", []http.ConnState{active, active, active}, longestRequest, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimit(3)
				var ends []*end
				for range tt.states {
					e := new(end)
					ends = append(ends, e)
					l.track(e, fresh)
					time.Sleep(time.Millisecond)
				}
				for i, state := range tt.states {
					if state != fresh {
						l.track(ends[i], active)
						l.track(ends[i], state)
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(tt.wait)
				if room := l.makeRoom(time.Now()); room != tt.room {
					t.Errorf("room: %v, want %v", room, tt.room)
				}
				for i, e := range ends {
					if e.closed != (i == tt.want) {
						t.Errorf("connection %d closed: %v", i, e.closed)
					}
					l.track(e, http.StateClosed)
				}
				checkEmpty(t, l)
			})
		})
	}
}

// The hook of a connection that was closed can still run once more with
// another state, before it runs with StateClosed.
func TestClosedConnectionIsForgotten(t *testing.T) {
	for _, last := range []http.ConnState{http.StateClosed, http.StateHijacked} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimit(1)
			first := new(end)
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

func checkEmpty(t *testing.T, c *Limit) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byConn) != 0 || c.byAge.Len() != 0 {
		t.Errorf("%d connections in the map and %d in the list, want none", len(c.byConn), c.byAge.Len())
	}
}

// A burst of clients beyond the limit is served to the last one, also of those
// that keep their connections, and of all that nothing is left in the end.
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

// A client that opens connections and closes none cannot keep others out.
func TestAGreedyClientKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	limit := NewLimit(8)
	ln := open(t)
	serve(t, ln, answering(), limit)
	var greedy []net.Conn
	for i := range 40 {
		conn := rawhttp.Dial(t, ln.Addr().String())
		greedy = append(greedy, conn)
		if i%2 == 0 { // one that is idle instead of new
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

// A listener that waits for room ends with the rest.
func TestAFullListenerEnds(t *testing.T) {
	t.Parallel()
	limit := NewLimit(1)
	ln := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- Serve(ctx, ln, answering(), limit, slog.New(slog.DiscardHandler))
	}()
	rawhttp.Dial(t, ln.Addr().String())
	for deadline := time.Now().Add(rawhttp.Patience); limit.len() < 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
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

// A connection that was used lately is not the one that goes, even if it is older.
func TestMakeRoomRemembersTheLatestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(2)
		older, younger := new(end), new(end)
		for _, e := range []*end{older, younger} {
			l.track(e, http.StateNew)
			l.track(e, http.StateActive)
			l.track(e, http.StateIdle)
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

// A hundred lines are for one request, however many a connection has.
func TestLinesAreCountedByRequest(t *testing.T) {
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
