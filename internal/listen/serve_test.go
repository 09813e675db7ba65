package listen

import (
	"bufio"
	"context"
	"errors"
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

// Every kind of connection that a sidecar may have when its pod is terminated.
func TestServeStopsWithinASecond(t *testing.T) {
	tests := []struct {
		name  string
		begin func(*testing.T, net.Conn) // what the client does first
		takes time.Duration              // to answer a request
		want  time.Duration              // at most, for Serve to return
	}{
		{
			name:  "nothing sent",
			begin: func(*testing.T, net.Conn) {},
			want:  800 * time.Millisecond,
		},
		{
			name:  "half a request",
			begin: func(_ *testing.T, conn net.Conn) { io.WriteString(conn, goodRequest[:20]) },
			want:  800 * time.Millisecond,
		},
		{
			name: "idle",
			begin: func(t *testing.T, conn net.Conn) {
				io.WriteString(conn, goodRequest)
				if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Error(err)
				}
			},
			want: 10 * time.Millisecond,
		},
		{
			name:  "request in flight",
			begin: func(_ *testing.T, conn net.Conn) { io.WriteString(conn, goodRequest) },
			takes: 300 * time.Millisecond,
			want:  800 * time.Millisecond,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				content := answering()
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(tt.takes)
					content.ServeHTTP(w, r)
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				ln := newPipes()
				go func() {
					done <- Serve(ctx, ln, handler, NewLimit(CredentialsConnections), nil, slog.New(slog.DiscardHandler))
				}()
				conn := ln.dial(t)
				tt.begin(t, conn)
				synctest.Wait()

				raw := make(chan string, 1)
				go func() {
					all, _ := io.ReadAll(conn)
					raw <- string(all)
				}()
				start := time.Now()
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Serve: %v", err)
				}
				if elapsed := time.Since(start); elapsed < tt.takes || elapsed > tt.want {
					t.Errorf("returned after %v, want %v to %v", elapsed, tt.takes, tt.want)
				}
				if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the listener is not closed: %v", err)
				}
				last := <-raw
				if tt.takes == 0 {
					return
				}
				if got := rawhttp.Parse(t, last); got.Status != http.StatusOK || got.Body != golden {
					t.Errorf("got %d %s", got.Status, got.Body)
				}
			})
		})
	}
}

// The same on real sockets, with all kinds of connections at once.
func TestServeStopsOnSockets(t *testing.T) {
	t.Parallel()
	ln := open(t)
	addr := ln.Addr().String()
	inFlight, release := make(chan struct{}), make(chan struct{})
	content := answering()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "held" {
			close(inFlight)
			<-release
		}
		content.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, handler, NewLimit(CredentialsConnections), nil, slog.New(slog.DiscardHandler))
	}()

	rawhttp.Dial(t, addr)
	io.WriteString(rawhttp.Dial(t, addr), goodRequest[:20])
	idle := rawhttp.Dial(t, addr)
	io.WriteString(idle, goodRequest)
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	held := rawhttp.Dial(t, addr)
	io.WriteString(held, strings.Replace(goodRequest, " HTTP", "?held HTTP", 1))
	<-inFlight

	start := time.Now()
	cancel()
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	raw, err := io.ReadAll(held)
	if got := rawhttp.Parse(t, string(raw)); err != nil || got.Status != http.StatusOK || got.Body != golden {
		t.Errorf("got %d %s, %v", got.Status, got.Body, err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	// The test above checks the exact time. This limit leaves time for a busy machine, but
	// is less than the five seconds of Shutdown.
	if elapsed := time.Since(start); elapsed > 3*time.Second {
		t.Errorf("returned after %v", elapsed)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestServeWithACanceledContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ln := open(t)
	if err := Serve(ctx, ln, http.NotFoundHandler(), NewLimit(CredentialsConnections), nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is not closed: %v", err)
	}
}

func TestServeFailsWithItsListener(t *testing.T) {
	t.Parallel()
	ln := open(t)
	done := make(chan error, 1)
	go func() {
		done <- Serve(t.Context(), ln, http.NotFoundHandler(), NewLimit(CredentialsConnections), nil, slog.New(slog.DiscardHandler))
	}()
	rawhttp.Exchange(t, ln.Addr().String(), "GET / HTTP/1.1\nHost: localhost") // wait until it serves
	ln.Close()
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
	case <-time.After(rawhttp.Patience):
		t.Error("Serve did not return")
	}
}

// How long a connection stays open, by what its client does.
func TestServeClosesStalledConnections(t *testing.T) {
	tests := []struct {
		name  string
		begin func(*testing.T, net.Conn)
		want  time.Duration
	}{
		{
			name:  "sends nothing",
			begin: func(*testing.T, net.Conn) {},
			want:  5 * time.Second,
		},
		{
			name:  "sends half a header",
			begin: func(_ *testing.T, conn net.Conn) { io.WriteString(conn, goodRequest[:20]) },
			want:  5 * time.Second,
		},
		{
			name: "sends a byte a second",
			begin: func(t *testing.T, conn net.Conn) {
				var wg sync.WaitGroup
				wg.Go(func() {
					for _, c := range []byte(goodRequest) {
						if _, err := conn.Write([]byte{c}); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
				t.Cleanup(wg.Wait)
			},
			want: 5 * time.Second,
		},
		{
			name: "sends headers without end",
			begin: func(_ *testing.T, conn net.Conn) {
				io.WriteString(conn, goodRequest[:len(goodRequest)-2]+strings.Repeat("a:\r\n", maxLines))
			},
			want: 0,
		},
		{
			name: "sends no second request",
			begin: func(_ *testing.T, conn net.Conn) {
				io.WriteString(conn, goodRequest)
				http.ReadResponse(bufio.NewReader(conn), nil)
			},
			want: 3 * time.Minute,
		},
		{
			name: "reads nothing",
			begin: func(_ *testing.T, conn net.Conn) {
				io.WriteString(conn, goodRequest)
				time.Sleep(10*time.Second + time.Millisecond)
			},
			want: 10*time.Second + time.Millisecond,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes()
				serve(t, ln, answering(), NewLimit(CredentialsConnections))
				conn := ln.dial(t)
				start := time.Now()
				tt.begin(t, conn)
				raw, _ := io.ReadAll(conn)
				if elapsed := time.Since(start); elapsed != tt.want || len(raw) != 0 && rawhttp.Parse(t, string(raw)).Status != http.StatusBadRequest {
					t.Errorf("closed after %v with %q, want %v and at most a 400", elapsed, raw, tt.want)
				}
			})
		})
	}
}

// A request whose body never arrives is still answered, after a delay.
func TestServeWithAMissingBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		serve(t, ln, answering(), NewLimit(CredentialsConnections))
		start := time.Now()
		got := rawhttp.ExchangeOn(t, ln.dial(t), "GET /v1/credentials HTTP/1.1\nHost: localhost\nContent-Length: 10\nConnection: close")
		if elapsed := time.Since(start); got.Body != golden || elapsed > readTimeout {
			t.Errorf("got %d %s after %v", got.Status, got.Body, elapsed)
		}
	})
}
