package server

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The goal: a request to the endpoint costs at most four allocations and a tenth of CPU
// time more than a request to a minimal net/http server.
const mostAllocations = 4

// kilobyte returns an endpoint whose answer has 1,024 bytes, and that answer.
func kilobyte() (*endpoint, []byte) {
	c := sample()
	c.SessionToken = strings.Repeat("t", 1024-len(golden)+len(c.SessionToken))
	return newContainer(always(c), nil), ContainerCredentials(testRole)(c)
}

// bare is a handler that writes body.
func bare(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
}

// serveBare serves handler until the test ends, with net/http's defaults.
func serveBare(t testing.TB, handler http.Handler) string {
	t.Helper()
	ln := openListener(t, "127.0.0.1:0")
	srv := &http.Server{Handler: handler}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// keepAlive is a client that allocates nothing, so that only the server is measured.
type keepAlive struct {
	conn    net.Conn
	replies *bufio.Reader
	request []byte
}

func newKeepAlive(t testing.TB, addr string) *keepAlive {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &keepAlive{conn, bufio.NewReader(conn), []byte("GET /v1/credentials HTTP/1.1\r\nHost: " + addr +
		"\r\nUser-Agent: aws-sdk-go/1.12.48\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n\r\n")}
}

// do sends a request and reads the answer to its end.
func (k *keepAlive) do() error {
	if _, err := k.conn.Write(k.request); err != nil {
		return err
	}
	status, length := 0, 0
	for {
		line, err := k.replies.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimSuffix(line, []byte("\r\n")); len(line) == 0 {
			break
		}
		if digits, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 ")); ok {
			status = decimal(digits)
		}
		if digits, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length = decimal(digits)
		}
	}
	if status != http.StatusOK || length != 1024 {
		return &failure{strconv.Itoa(status), strconv.Itoa(length)}
	}
	_, err := k.replies.Discard(length)
	return err
}

// decimal returns the number at the beginning of digits.
func decimal(digits []byte) int {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func BenchmarkEndpoint(b *testing.B) {
	e, _ := kilobyte()
	benchmark(b, serve(b, e))
}

func BenchmarkBare(b *testing.B) {
	_, body := kilobyte()
	benchmark(b, serveBare(b, bare(body)))
}

func benchmark(b *testing.B, addr string) {
	client := newKeepAlive(b, addr)
	if err := client.do(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	start := cpu(b)
	for b.Loop() {
		if err := client.do(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

// cpu returns the CPU time that this process has used, in nanoseconds.
func cpu(t testing.TB) int64 {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// BenchmarkHandler measures the endpoint without net/http around it.
func BenchmarkHandler(b *testing.B) {
	e, _ := kilobyte()
	r := requestTo(b, "127.0.0.1:9911", "127.0.0.1:9911")
	w := &discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		e.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// Not parallel: it counts the allocations of the whole process.
func TestAllocations(t *testing.T) {
	e, body := kilobyte()
	got := allocations(t, serve(t, e))
	base := allocations(t, serveBare(t, bare(body)))
	if got-base > mostAllocations {
		t.Errorf("%v allocations a request, %v more than bare net/http, want at most %d", got, got-base, mostAllocations)
	}
}

func allocations(t *testing.T, addr string) float64 {
	t.Helper()
	client := newKeepAlive(t, addr)
	return testing.AllocsPerRun(500, func() {
		if err := client.do(); err != nil {
			t.Fatal(err)
		}
	})
}
