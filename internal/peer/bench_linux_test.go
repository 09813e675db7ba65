package peer

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// BenchmarkLookup measures what a connection costs more when its client is identified.
func BenchmarkLookup(b *testing.B) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client, server := address(conn.LocalAddr()), address(conn.RemoteAddr())
	var f Finder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Lookup(client, server); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare measures a request over a new connection to a bare net/http server, with
// the client's part.
func BenchmarkBare(b *testing.B) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	go srv.Serve(ln)
	defer srv.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Get("http://" + ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
