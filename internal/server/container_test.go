package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"irsa-sidecar/test/rawhttp"
)

func TestAnswerOnTheWire(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			ln := openListener(t, addr)
			serveOn(t, ln, newContainer(always(sample()), nil), slog.New(slog.DiscardHandler))
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
				"Content-Type":                 {"application/json"},
				"Cache-Control":                {"no-store"},
				"Content-Length":               {strconv.Itoa(len(golden))},
				"Content-Disposition":          {"attachment"},
				"Cross-Origin-Resource-Policy": {"same-origin"},
				"X-Content-Type-Options":       {"nosniff"},
				"X-Frame-Options":              {"DENY"},
				"Connection":                   {"close"},
			}
			if !maps.EqualFunc(got.Header, want, slices.Equal) {
				t.Errorf("got header %v, want %v", got.Header, want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	e := newContainer(always(sample()), nil)
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
		{"two slashes at the end", "GET /v1/credentials// HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"two slashes at the beginning", "GET //v1/credentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"three slashes inside", "GET /v1///credentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"a host in the path", "GET //127.0.0.1/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"a dot", "GET /v1/./credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"two dots", "GET /v1/x/../credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"upper case", "GET /V1/credentials HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"percent-encoded letter", "GET /v1/%63redentials HTTP/1.1\nHost: 127.0.0.1", "200"},
		{"percent-encoded slash at the end", "GET /v1/credentials/%2F HTTP/1.1\nHost: 127.0.0.1", "200"},
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
		{"CONNECT with a path", "CONNECT /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 ForwardedRequest"},
		{"unknown method", "PROPFIND /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"lower-case method", "get /v1/credentials HTTP/1.1\nHost: 127.0.0.1", "405 MethodNotAllowed"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\nHost: 127.0.0.1", "404 NotFound"},
		{"OPTIONS * with an evil Host", "OPTIONS * HTTP/1.1\nHost: evil.example", "403 HostNotAllowed"},
		{"CONNECT", "CONNECT 127.0.0.1:80 HTTP/1.1\nHost: 127.0.0.1:80", "403 ForwardedRequest"},
		{"CONNECT to another host", "CONNECT evil.example:443 HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"preface of HTTP/2", "PRI * HTTP/2.0\n\nSM", "404 NotFound"},

		{"absolute form", "GET http://127.0.0.1/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 ForwardedRequest"},
		{"absolute form, evil host", "GET http://evil.example/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"absolute form takes precedence over an evil Host", "GET http://127.0.0.1/v1/credentials HTTP/1.1\nHost: evil.example", "403 ForwardedRequest"},
		{"absolute form, user", "GET http://127.0.0.1@evil.example/v1/credentials HTTP/1.1\nHost: 127.0.0.1", "403 HostNotAllowed"},
		{"evil host", "GET /v1/credentials HTTP/1.1\nHost: evil.example", "403 HostNotAllowed"},
		{"evil host before localhost", "GET /v1/credentials HTTP/1.1\nHost: evil.example:localhost", "403 HostNotAllowed"},
		{"empty Host", "GET /v1/credentials HTTP/1.1\nHost:", "200"},
		{"HTTP/1.0 without Host", "GET /v1/credentials HTTP/1.0", "200"},
		{"forwarded", "GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nx-forwarded-for: 10.0.0.1", "403 ForwardedRequest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rawhttp.Exchange(t, addr, tt.request)
			checkFraming(t, got)
			if tt.want == "200" {
				if got.Status != http.StatusOK || got.Body != golden {
					t.Errorf("got %d %s, want 200", got.Status, got.Body)
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

// net/http rejects these requests on its own: the endpoint never sees them.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	e := newContainer(always(sample()), nil)
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
	addr := serve(t, newContainer(always(sample()), nil))
	runs := regexp.MustCompile("/+")
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
					if strings.TrimSuffix(runs.ReplaceAllString(strings.ReplaceAll(path, "%2F", "/"), "/"), "/") == testPath {
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
			addr := serve(t, newContainer(tt.provider, nil))
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

// A keep-alive connection serves one request after another, until one is refused for its
// sender.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	conn := rawhttp.Dial(t, serve(t, newContainer(always(sample()), nil)))
	replies := bufio.NewReader(conn)
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
		{"GET /v2 HTTP/1.1\nHost: 127.0.0.1", 404},
		{"HEAD /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
		{"POST /v1/credentials HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0", 405},
		{"GET /v1/credentials HTTP/1.1\nHost: 127.0.0.1", 200},
		{"GET /v1/credentials HTTP/1.1\nHost: evil.example", 403},
	} {
		io.WriteString(conn, rawhttp.Wire(tt.request))
		method, _, _ := strings.Cut(tt.request, " ")
		got, err := http.ReadResponse(replies, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", tt.request, err)
		}
		body, _ := io.ReadAll(got.Body)
		if got.StatusCode != tt.want || got.Close != (tt.want == 403) {
			t.Errorf("%q: got %d %s, close %v, want %d", tt.request, got.StatusCode, body, got.Close, tt.want)
		}
	}
}
