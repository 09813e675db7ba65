package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

func TestAnswerOnTheWire(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			ln := openListener(t, addr)
			serveOn(t, ln, newEndpoint(always(sample()), nil), slog.New(slog.DiscardHandler))
			got := rawhttp.Exchange(t, ln.Addr().String(),
				"GET /v1/credentials HTTP/1.1\nHost: "+ln.Addr().String()+"\nAccept-Encoding: gzip, deflate")
			if got.Status != http.StatusOK || got.Body != golden {
				t.Errorf("got %d %s\nwant 200 %s", got.Status, got.Body, golden)
			}
			if date := got.Header.Get("Date"); date == "" {
				t.Error("no Date")
			}
			got.Header.Del("Date")
			want := http.Header{
				"Content-Type":   {"application/json"},
				"Cache-Control":  {"no-store"},
				"Content-Length": {strconv.Itoa(len(golden))},
				"Connection":     {"close"},
			}
			if !maps.EqualFunc(got.Header, want, slices.Equal) {
				t.Errorf("got header %v, want %v", got.Header, want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	e := newEndpoint(always(sample()), nil)
	addr := serve(t, e)
	tests := []struct {
		name    string
		request string
		want    string // the status, and the code of an error
	}{
		{"plain", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"an old SDK", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nUser-Agent: aws-sdk-go/1.12.48 (go1.9)\nAccept: application/json\nAccept-Encoding: gzip", "200"},
		{"a new SDK", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nAmz-Sdk-Invocation-Id: 1\nAmz-Sdk-Request: attempt=1; max=3\nAuthorization: whatever", "200"},
		{"HTTP/1.0 with Host", "GET /v1/credentials HTTP/1.0\nHost: 127.0.0.1", "200"},
		{"a body", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0", "200"},
		{"lower-case host header", "GET /v1/credentials HTTP/1.1\nhost: 127.0.0.1", "200"},

		{"slash at the end", "GET /v1/credentials/ HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"two slashes at the end", "GET /v1/credentials// HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"two slashes at the beginning", "GET //v1/credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"two slashes inside", "GET /v1//credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"a dot", "GET /v1/./credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"two dots", "GET /v1/x/../credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"upper case", "GET /V1/credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"percent-encoded letter", "GET /v1/%63redentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"percent-encoded slash at the end", "GET /v1/credentials/%2F HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"percent-encoded NUL", "GET /v1/credentials%00 HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"longer path", "GET /v1/credentials/x HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"shorter path", "GET /v1/credential HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"root", "GET / HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"parameter", "GET /v1/credentials;x HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"query", "GET /v1/credentials?a=b;c&d=%zz HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"slash and query", "GET /v1/credentials/?x HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"path in the query", "GET /?/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},

		{"POST", "POST /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0", "405 MethodNotAllowed"},
		{"PUT", "PUT /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0", "405 MethodNotAllowed"},
		{"DELETE", "DELETE /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"OPTIONS", "OPTIONS /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"TRACE", "TRACE /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"CONNECT with a path", "CONNECT /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"unknown method", "PROPFIND /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"lower-case method", "get /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"OPTIONS * with an evil Host", "OPTIONS * HTTP/1.1\nHost: evil.example", "403 HostNotAllowed"},
		{"CONNECT", "CONNECT 127.0.0.1:80 HTTP/1.1\nHost: 127.0.0.1:80", "404 NotFound"},
		{"CONNECT to another host", "CONNECT evil.example:443 HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"preface of HTTP/2", "PRI * HTTP/2.0\n\nSM", "403 HostNotAllowed"},

		{"absolute form", "GET http://127.0.0.1/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"absolute form, evil host", "GET http://evil.example/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"absolute form takes precedence over an evil Host", "GET http://127.0.0.1/v1/credentials HTTP/1.1\nHost: evil.example", "200"},
		{"absolute form, user", "GET http://127.0.0.1@evil.example/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"evil host", "GET /v1/credentials HTTP/1.1\nHost: evil.example", "403 HostNotAllowed"},
		{"evil host before localhost", "GET /v1/credentials HTTP/1.1\nHost: evil.example:localhost", "403 HostNotAllowed"},
		{"empty Host", "GET /v1/credentials HTTP/1.1\nHost:", "403 HostNotAllowed"},
		{"HTTP/1.0 without Host", "GET /v1/credentials HTTP/1.0", "403 HostNotAllowed"},
		{"forwarded", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nx-forwarded-for: 10.0.0.1", "403 ForwardedRequest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rawhttp.Exchange(t, addr, tt.request)
			checkFraming(t, got)
			if tt.want == "200" {
				if got.Status != http.StatusOK || got.Body != golden {
					t.Errorf("got %d %s", got.Status, got.Body)
				}
				return
			}
			code, _ := fault(t, got)
			if status := fmt.Sprintf("%d %s", got.Status, code); status != tt.want {
				t.Errorf("got %s, want %s", status, tt.want)
			}
			if allow, want := got.Header.Get("Allow"), got.Status == http.StatusMethodNotAllowed; (allow == "GET, HEAD") != want {
				t.Errorf("%d with Allow %q", got.Status, allow)
			}
			if strings.Contains(got.Body, "ASIA") {
				t.Errorf("%d with credentials: %s", got.Status, got.Body)
			}
		})
	}
}

// checkFraming checks what all answers of an endpoint have in common.
func checkFraming(t *testing.T, got rawhttp.Reply) {
	t.Helper()
	if length := got.Header.Get("Content-Length"); length != strconv.Itoa(len(got.Body)) {
		t.Errorf("Content-Length %q of %d bytes", length, len(got.Body))
	}
	if typ := got.Header.Get("Content-Type"); typ != "application/json" {
		t.Errorf("Content-Type %q", typ)
	}
	if control := got.Header.Get("Cache-Control"); control != "no-store" {
		t.Errorf("Cache-Control %q", control)
	}
	for _, name := range []string{"Transfer-Encoding", "Content-Encoding", "Location", "Access-Control-Allow-Origin"} {
		if values, ok := got.Header[name]; ok {
			t.Errorf("%s: %q", name, values)
		}
	}
}

// net/http rejects these requests on its own: the endpoint never sees them.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	e := newEndpoint(always(sample()), nil)
	addr := serve(t, e)
	tests := []struct {
		name    string
		request string
		want    int
	}{
		{"no Host", "GET /v1/credentials HTTP/1.1", 400},
		{"two Hosts", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example", 400},
		{"two Hosts, the evil one first", "GET /v1/credentials HTTP/1.1\nHost: evil.example\nHost: 127.0.0.1", 400},
		{"the same Host twice", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nHost: 127.0.0.1", 400},
		{"user in Host", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1:9911@evil.example", 400},
		{"path in Host", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1/evil.example", 400},
		{"non-ASCII Host", "GET /v1/credentials HTTP/1.1\nHost: localho\u017ft", 400},
		{"no version", "GET /v1/credentials\nHost: 127.0.0.1", 400},
		{"HTTP/3", "GET /v1/credentials HTTP/3.0\nHost: 127.0.0.1", 505},
		{"space before the colon", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nVia : x", 400},
		{"too much header", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nX: " + strings.Repeat("x", 12<<10), 431},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := rawhttp.Exchange(t, addr, tt.request); got.Status != tt.want || strings.Contains(got.Body, "ASIA") {
				t.Errorf("got %d %s, want %d", got.Status, got.Body, tt.want)
			}
		})
	}
	t.Cleanup(func() { // after all of them
		checkCounts(t, e, "", "")
	})
}

// Go follows redirects, all other clients fail on one.
func TestNeverRedirects(t *testing.T) {
	t.Parallel()
	addr := serve(t, newEndpoint(always(sample()), nil))
	segments := []string{"", "/", "//", "/.", "/..", "/v1", "/v1/", "/credentials", "/credentials/", "/%2e", "/%2F"}
	for _, first := range segments {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			conn := rawhttp.Dial(t, addr)
			replies := bufio.NewReader(conn)
			for _, second := range segments {
				for _, third := range segments {
					path := first + second + third
					if !strings.HasPrefix(path, "/") {
						continue
					}
					fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
					got, err := http.ReadResponse(replies, nil)
					if err != nil {
						t.Fatalf("%s: %v", path, err)
					}
					io.Copy(io.Discard, got.Body)
					want := http.StatusNotFound
					if strings.TrimSuffix(strings.ReplaceAll(path, "%2F", "/"), "/") == testPath {
						want = http.StatusOK
					}
					if got.StatusCode != want {
						t.Errorf("%s: got %d, want %d", path, got.StatusCode, want)
					}
				}
			}
		})
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	unavailable := providerFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &failure{"other", "x"}
	})
	tests := []struct {
		name     string
		provider Provider
		path     string
		want     int
	}{
		{"credentials", always(sample()), testPath, 200},
		{"wrong path", always(sample()), "/", 404},
		{"no credentials", unavailable, testPath, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, newEndpoint(tt.provider, nil))
			get := rawhttp.Exchange(t, addr, "GET "+tt.path+" HTTP/1.1\nHost: localhost")
			head := rawhttp.Exchange(t, addr, "HEAD "+tt.path+" HTTP/1.1\nHost: localhost")
			if head.Status != tt.want || get.Status != tt.want || head.Body != "" {
				t.Errorf("got %d %q, GET has %d, want %d and no body", head.Status, head.Body, get.Status, tt.want)
			}
			get.Header.Del("Date")
			head.Header.Del("Date")
			if !maps.EqualFunc(head.Header, get.Header, slices.Equal) {
				t.Errorf("got header %v, GET has %v", head.Header, get.Header)
			}
		})
	}
}

// A keep-alive connection serves one request after another, also after a refused one.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	conn := rawhttp.Dial(t, serve(t, newEndpoint(always(sample()), nil)))
	replies := bufio.NewReader(conn)
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
		{"GET /v2 HTTP/1.1\nHost: 127.0.0.1", 404},
		{"HEAD /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
		{"POST /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0", 405},
		{"GET /v1/credentials HTTP/1.1\nHost: evil.example", 403},
		{"GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
	} {
		io.WriteString(conn, rawhttp.Wire(tt.request))
		method, _, _ := strings.Cut(tt.request, " ")
		got, err := http.ReadResponse(replies, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", tt.request, err)
		}
		body, _ := io.ReadAll(got.Body)
		if got.StatusCode != tt.want || got.Close {
			t.Errorf("%q: got %d %s, close %v, want %d", tt.request, got.StatusCode, body, got.Close, tt.want)
		}
	}
}

func TestLongSessionTokenIsNotChunked(t *testing.T) {
	t.Parallel()
	c := sample()
	c.SessionToken = strings.Repeat("t", 6<<10)
	got := rawhttp.Exchange(t, serve(t, newEndpoint(always(c), nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost\nAccept-Encoding: gzip")
	checkFraming(t, got)
	if want := strings.Replace(golden, sample().SessionToken, c.SessionToken, 1); got.Status != http.StatusOK || got.Body != want {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// call sends a request to e and returns the answer and how long it took.
func call(ctx context.Context, e *endpoint) (*httptest.ResponseRecorder, time.Duration) {
	start := time.Now()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+testPath, nil))
	return w, time.Since(start)
}

func TestHold(t *testing.T) {
	never := time.Duration(-1)
	tests := []struct {
		name    string
		arrival time.Duration // of the credentials
		want    time.Duration // until the answer
		status  int
	}{
		{"already there", 0, 0, 200},
		{"arrive at once", time.Millisecond, time.Millisecond, 200},
		{"arrive just in time", 499 * time.Millisecond, 499 * time.Millisecond, 200},
		{"arrive too late", 501 * time.Millisecond, 500 * time.Millisecond, 503},
		{"never arrive", never, 500 * time.Millisecond, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pending{make(chan struct{}), &failure{"AccessDenied", "see the trust policy"}}
				switch {
				case tt.arrival == 0:
					close(p.ready)
				case tt.arrival > 0:
					time.AfterFunc(tt.arrival, func() { close(p.ready) })
				}
				e := newEndpoint(p, nil)
				got, elapsed := call(t.Context(), e)
				if got.Code != tt.status || elapsed != tt.want {
					t.Errorf("got %d after %v, want %d after %v", got.Code, elapsed, tt.status, tt.want)
				}
				checkCounts(t, e, strconv.Itoa(tt.status), "")
				if tt.arrival > 0 { // let the timer fire
					time.Sleep(time.Second)
				}
			})
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &failure{"AccessDenied", `not "authorized" for role/app`}
	})
	got := rawhttp.Exchange(t, serve(t, newEndpoint(provider, nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost")
	checkFraming(t, got)
	want := `{"code":"CredentialsUnavailable","message":"AccessDenied: not \"authorized\" for role/app"}`
	if got.Status != http.StatusServiceUnavailable || got.Body != want {
		t.Errorf("got %d %s, want 503 %s", got.Status, got.Body, want)
	}
	if after := got.Header.Get("Retry-After"); after != "2" {
		t.Errorf("Retry-After %q, want 2", after)
	}
}

// The endpoint does not wait for a provider that fails at once, as it does when
// credentials have expired.
func TestNoHoldAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := providerFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, &failure{"timeout", "STS does not answer"}
		})
		if got, elapsed := call(t.Context(), newEndpoint(expired, nil)); got.Code != http.StatusServiceUnavailable || elapsed != 0 {
			t.Errorf("got %d after %v, want 503 at once", got.Code, elapsed)
		}
	})
}

// A canceled request is no longer held, but current credentials are always served.
func TestCanceledRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		p := &pending{make(chan struct{}), &failure{"token", "none yet"}}
		e := newEndpoint(p, nil)
		if got, elapsed := call(canceled, e); got.Code != http.StatusServiceUnavailable || elapsed != 0 {
			t.Errorf("without credentials: got %d after %v, want 503 at once", got.Code, elapsed)
		}
		close(p.ready)
		if got, elapsed := call(canceled, e); got.Code != http.StatusOK || elapsed != 0 || got.Body.String() != golden {
			t.Errorf("with credentials: got %d after %v, want 200 at once", got.Code, elapsed)
		}
	})
}

// A refused request is not held, and does not learn why there are no credentials.
func TestRefusedRequestIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pending{make(chan struct{}), &failure{"AccessDenied", "role/app"}}
		got, elapsed := call(t.Context(), newEndpoint(p, NewAuthorization("right")))
		if got.Code != http.StatusUnauthorized || elapsed != 0 || strings.Contains(got.Body.String(), "role/app") {
			t.Errorf("got %d after %v: %s", got.Code, elapsed, got.Body)
		}
		if after := got.Header().Get("Retry-After"); after != "" {
			t.Errorf("Retry-After %q", after)
		}
	})
}

// A request on a real socket, held until the first credentials arrive.
func TestHeldRequestIsAnswered(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	held := make(chan struct{})
	calls := 0
	provider := providerFunc(func(ctx context.Context) (aws.Credentials, error) {
		if calls++; calls == 1 {
			return aws.Credentials{}, ctx.Err()
		}
		close(held)
		<-ready
		return sample(), ctx.Err()
	})
	go func() {
		<-held
		close(ready)
	}()
	if got := rawhttp.Exchange(t, serve(t, newEndpoint(provider, nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost"); got.Body != golden {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

func TestRendersOnce(t *testing.T) {
	t.Parallel()
	renderings := 0
	render := func(c aws.Credentials) []byte {
		renderings++
		return ContainerCredentials(testRole)(c)
	}
	current := sample()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) { return current, nil })
	e := NewContainerEndpoint(ContainerGuard{Path: testPath}, render, provider, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).(*endpoint)

	var last *rendered
	changes := []struct {
		name   string
		change func(*aws.Credentials)
	}{
		{"first", func(*aws.Credentials) {}},
		{"access key", func(c *aws.Credentials) { c.AccessKeyID = "ASIAOTHER" }},
		{"secret", func(c *aws.Credentials) { c.SecretAccessKey = "other" }},
		{"session token", func(c *aws.Credentials) { c.SessionToken = "other" }},
		{"expiry", func(c *aws.Credentials) { c.Expires = c.Expires.Add(time.Second) }},
		{"account", func(c *aws.Credentials) { c.AccountID = "" }},
	}
	for i, tt := range changes {
		tt.change(&current)
		for range 3 {
			got, _ := call(t.Context(), e)
			if want := string(ContainerCredentials(testRole)(current)); got.Body.String() != want {
				t.Errorf("%s: got %s, want %s", tt.name, got.Body, want)
			}
		}
		if renderings != i+1 || e.content.(*document).last.Load() == last {
			t.Errorf("%s: %d renderings, want %d", tt.name, renderings, i+1)
		}
		last = e.content.(*document).last.Load()
	}
}

// Concurrent requests share the rendered answer.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	current := sample()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) {
		mu.Lock()
		defer mu.Unlock()
		return current, nil
	})
	e := newEndpoint(provider, nil)
	render := ContainerCredentials(testRole)
	other := sample()
	other.SessionToken = "other"
	want := []string{string(render(sample())), string(render(other))}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				if got, _ := call(t.Context(), e); !slices.Contains(want, got.Body.String()) {
					t.Errorf("got %s", got.Body)
				}
				if i%10 == 0 {
					mu.Lock()
					current, other = other, current
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if n := count(e.metrics.requests.WithLabelValues("200")); n != 800 {
		t.Errorf("%d requests counted, want 800", n)
	}
}

func TestLargeAnswerWarns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		size int
		want int // warnings
	}{
		{"largest", 10_000, 0},
		{"larger", 10_001, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := sample()
			c.SessionToken = strings.Repeat("t", tt.size-len(golden)+len(c.SessionToken))
			var log journal
			e := NewContainerEndpoint(ContainerGuard{Path: testPath}, ContainerCredentials(testRole), always(c), log.logger(), NewMetrics(prometheus.NewRegistry())).(*endpoint)
			for range 3 {
				if got, _ := call(t.Context(), e); got.Body.Len() != tt.size {
					t.Fatalf("got %d bytes, want %d", got.Body.Len(), tt.size)
				}
			}
			if n := strings.Count(log.String(), `"level":"WARN"`); n != tt.want || strings.Contains(log.String(), "ttt") {
				t.Errorf("%d warnings, want %d: %s", n, tt.want, log.String())
			}
		})
	}
}
