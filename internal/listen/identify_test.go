package listen

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

// Each connection is identified once, by its addresses, for all of its requests; also one
// that may leave out the Host.
func TestServeIdentifiesConnections(t *testing.T) {
	t.Parallel()
	type key struct{}
	var identified atomic.Int64
	identify := func(ctx context.Context, conn net.Conn) context.Context {
		identified.Add(1)
		return context.WithValue(ctx, key{}, conn.RemoteAddr().String())
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Context().Value(key{}).(string))
	})
	ln := WithoutHost(Local(open(t)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, handler, NewLimit(CredentialsConnections), identify, slog.New(slog.DiscardHandler))
	}()
	for range 2 {
		conn := rawhttp.Dial(t, ln.Addr().String())
		for reader, i := bufio.NewReader(conn), 0; i < 3; i++ {
			io.WriteString(conn, goodRequest) // an error shows when reading
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != conn.LocalAddr().String() || err != nil {
				t.Errorf("got %q, %v, want %s", body, err, conn.LocalAddr())
			}
		}
	}
	if n := identified.Load(); n != 2 {
		t.Errorf("%d connections identified, want 2", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
