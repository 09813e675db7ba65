package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testClient returns a client of handler that expects kilobytes.
func testClient(t *testing.T, keep bool, handler http.HandlerFunc) (c *client, connections *atomic.Int32) {
	connections = new(atomic.Int32)
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	to := target{"server", srv.Listener.Addr().String(), "/path", kilobyteExpiration}
	c = newClient(load{name: "load", keep: keep}, to, time.Now().Add(time.Minute))
	t.Cleanup(c.close)
	return c, connections
}

func TestClientConnections(t *testing.T) {
	for keep, want := range map[bool]int32{true: 1, false: 4} {
		c, connections := testClient(t, keep, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 1<<10))
		})
		c.open()
		for range 3 {
			c.ask(time.Now())
		}
		if len(c.samples) != 3 || c.lost != 0 {
			t.Errorf("keep %v: %d samples, losses %v; want 3 and none", keep, len(c.samples), c.losses)
		}
		if got := connections.Load(); got != want {
			t.Errorf("keep %v: %d connections, want %d", keep, got, want)
		}
	}
}

func TestClientLosses(t *testing.T) {
	kilobyte := "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1<<10)
	const lost = "server, load: " // then EOF or a reset, depending on timing
	tests := []struct {
		name   string
		answer string   // sent verbatim before the connection is closed
		want   []string // errors of two requests; "": none
	}{
		{"nothing", "", []string{"EOF", "EOF"}},
		{"truncated header", "HTTP/1.1 200 OK\r\n", []string{"unexpected EOF", "unexpected EOF"}},
		{"truncated body", kilobyte[:len(kilobyte)-1], []string{"unexpected EOF", "unexpected EOF"}},
		{"less than a kilobyte", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", []string{"1 bytes", lost}},
		{"another status", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", []string{"status 503: busy", lost}},
		{"kept connection is closed", kilobyte, []string{"", lost}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := testClient(t, true, func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, tt.answer)
				conn.Close()
			})
			for _, want := range tt.want {
				c.lost, c.losses = 0, nil
				c.ask(time.Now())
				var first loss
				if c.lost > 0 {
					first = c.losses[0]
				}
				testError(t, first.err, want)
			}
		})
	}
}
