package listen

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

const goodRequest = "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"

// golden is what answering answers with.
const golden = `{"AccessKeyId":"ASIAEXAMPLE"}`

// answering answers every request with golden.
func answering() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, golden) })
}

// open listens on a free port of 127.0.0.1.
func open(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve serves handler on ln until the test ends.
func serve(t testing.TB, ln net.Listener, handler http.Handler, limit *Limit) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, handler, limit, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
