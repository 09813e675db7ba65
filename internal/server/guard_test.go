package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

func TestIsLocalHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		local string // the address that the connection was accepted on
		want  bool
	}{
		{name: "localhost", want: true},
		{name: "LOCALHOST", want: true},
		{name: "LocalHost:9911", want: true},
		{name: "localhost:1", want: true},
		{name: "127.0.0.1", want: true},
		{name: "127.0.0.1:9911", want: true},
		{name: "127.0.0.1:65535", want: true},
		{name: "127.8.8.8", want: true},
		{name: "127.255.255.255:80", want: true},
		{name: "[::1]", want: true},
		{name: "[::1]:80", want: true},
		{name: "[0:0:0:0:0:0:0:1]:80", want: true},
		{name: "[::ffff:127.0.0.1]:80", want: true},

		{name: "", want: false},
		{name: ":80", want: false},
		{name: "localhost.", want: false},
		{name: "localhost.:80", want: false},
		{name: "localhost:", want: false},
		{name: "localhost:http", want: false},
		{name: "localhost:-1", want: false},
		{name: "localhost:+1", want: false},
		{name: "localhost:100000", want: false},
		{name: "localhost:80:80", want: false},
		{name: "localhost.evil.example", want: false},
		{name: "localhost@evil.example", want: false},
		{name: "evil.example", want: false},
		{name: "evil.example:80", want: false},
		{name: "127.0.0.1.evil.example", want: false},
		{name: "127.0.0.1.", want: false},
		{name: "127.0.0.1:", want: false},
		{name: "127.0.0.1:port", want: false},
		{name: "127.0.0.1:port@evil", want: false},
		{name: "127.0.0.1:80@evil", want: false},
		{name: "127.0.0.1 ", want: false},
		{name: "127.1", want: false},
		{name: "127.0.0.01", want: false},
		{name: "0x7f.0.0.1", want: false},
		{name: "2130706433", want: false},
		{name: "0.0.0.0", want: false},
		{name: "0.0.0.0:80", want: false},
		{name: "10.0.0.1", want: false},
		{name: "128.0.0.1", want: false},
		{name: "169.254.169.254", want: false},
		{name: "[127.0.0.1]", want: false},
		{name: "::1", want: true},
		{name: "::1:80", want: false},
		{name: "[::1", want: false},
		{name: "::1]", want: false},
		{name: "[::1]80", want: false},
		{name: "[::1]:", want: false},
		{name: "[[::1]]", want: false},
		{name: "[::]", want: false},
		{name: "[::1%lo]", want: false},
		{name: "[::1%25lo]:80", want: false},
		{name: "[::ffff:10.0.0.1]", want: false},
		{name: "[fd00:ec2::23]", want: false},
		{name: "[localhost]", want: false},
		{name: "[]", want: false},
		{name: "[]:80", want: false},

		{name: "169.254.170.2", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.2:80", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.2", local: "[::ffff:169.254.170.2]:80", want: true},
		{name: "[fd00:ec2::23]", local: "[fd00:ec2::23]:80", want: true},
		{name: "localhost", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.3", local: "169.254.170.2:80", want: false},
		{name: "10.0.0.1", local: "127.0.0.1:9911", want: false},
		{name: "evil.example", local: "169.254.170.2:80", want: false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" at "+tt.local, func(t *testing.T) {
			t.Parallel()
			if got := isLocalHost(requestTo(t, tt.name, tt.local)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// requestTo returns a request with this Host. Its connection was accepted on the address
// local, unless that is empty.
func requestTo(t testing.TB, host, local string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, testPath, nil)
	r.Host = host
	if local == "" {
		return r
	}
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
}

// net/http keeps the Host out of the header map. A guard that reads it there passes its
// unit tests and checks nothing.
func TestIsLocalHostReadsTheRightHost(t *testing.T) {
	t.Parallel()
	r := requestTo(t, "evil.example", "")
	r.Header.Set("Host", "127.0.0.1")
	r.URL.Host = "127.0.0.1"
	if isLocalHost(r) {
		t.Error("evil.example is accepted")
	}
}

func TestForwardedBy(t *testing.T) {
	t.Parallel()
	addr := serve(t, newEndpoint(always(sample()), nil))
	tests := []struct {
		name string
		want int
	}{
		{"X-Forwarded-For: 10.0.0.1", 403},
		{"x-forwarded-for: 10.0.0.1", 403},
		{"X-FORWARDED-FOR: 10.0.0.1", 403},
		{"X-Forwarded-For:", 403},
		{"X-Forwarded-Host: example.com", 403},
		{"X-Forwarded-Proto: https", 403},
		{"X-Forwarded-Port: 443", 403},
		{"X-Forwarded-Server: proxy", 403},
		{"X-Forwarded-Client-Cert: x", 403},
		{"Forwarded: for=10.0.0.1", 403},
		{"Via: 1.1 proxy", 403},
		{"via: 1.1 proxy", 403},
		{"Origin: https://evil.example", 403},
		{"Origin: null", 403},
		{"Referer: https://evil.example/", 403},
		{"Sec-Fetch-Site: none", 403},
		{"Sec-Fetch-Mode: no-cors", 403},
		{"Sec-Fetch-Dest: image", 403},
		{"Sec-Fetch-User: ?1", 403},
		{"sec-fetch-site: none", 403},

		{"User-Agent: aws-sdk-nodejs/2.400.0", 200},
		{"Accept: application/json", 200},
		{"Accept-Encoding: gzip, deflate", 200},
		{"Authorization: anything", 200},
		{"Amz-Sdk-Request: attempt=1", 200},
		{"Content-Type: application/json", 200},
		{"X-Amzn-Trace-Id: Root=1", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rawhttp.Exchange(t, addr, "GET /v1/credentials HTTP/1.1\nHost: localhost\n"+tt.name)
			if got.Status != tt.want {
				t.Fatalf("got %d, want %d", got.Status, tt.want)
			}
			if got.Status != http.StatusOK {
				if code, _ := fault(t, got); code != "ForwardedRequest" {
					t.Errorf("got %s", code)
				}
			}
		})
	}
}

// If a request has several faults, the guard answers and counts only the first one in its
// order. The test tries all combinations.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	checks := []struct {
		name      string // the label
		good, bad string
		code      string
		want      int
	}{
		{"host", "localhost", "evil.example", "HostNotAllowed", 403},
		{"forwarded", "Accept: */*", "Via: 1.1 proxy", "ForwardedRequest", 403},
		{"path", testPath, "/other", "NotFound", 404},
		{"method", "GET", "DELETE", "MethodNotAllowed", 405},
		{"authorization", "Authorization: right", "Authorization: wrong", "Unauthorized", 401},
	}
	for faults := range 1 << len(checks) {
		want, code, reason := http.StatusOK, "", ""
		var parts []string
		for i, check := range checks {
			if faults&(1<<i) == 0 {
				parts = append(parts, check.good)
				continue
			}
			parts = append(parts, check.bad)
			if reason == "" {
				want, code, reason = check.want, check.code, check.name
			}
		}
		t.Run(strings.Join(parts, ","), func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(always(sample()), NewAuthorization("right"))
			host, forwarded, path, method, authorization := parts[0], parts[1], parts[2], parts[3], parts[4]
			got := rawhttp.Exchange(t, serve(t, e), method+" "+path+" HTTP/1.1\nHost: "+host+"\n"+forwarded+"\n"+authorization)
			if got.Status != want {
				t.Errorf("got %d, want %d", got.Status, want)
			}
			if reason != "" {
				if got, _ := fault(t, got); got != code {
					t.Errorf("got %s, want %s", got, code)
				}
			}
			checkCounts(t, e, strconv.Itoa(want), reason)
		})
	}
}

// The configured path may be a capability or the root.
func TestGuardPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		path string
		want bool
	}{
		{"/v1/credentials/3f2a", "/v1/credentials/3f2a", true},
		{"/v1/credentials/3f2a", "/v1/credentials/3f2a/", true},
		{"/v1/credentials/3f2a", "/v1/credentials/3f2b", false},
		{"/v1/credentials/3f2a", "/v1/credentials/3F2A", false},
		{"/v1/credentials/3f2a", "/v1/credentials/", false},
		{"/v1/credentials/3f2a", "/v1/credentials/3f2a0", false},
		{"", "/", true},
		{"", "//", false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
			r.URL.Path = tt.path
			g := ContainerGuard{Path: tt.name}
			if refused := g.check(r); (refused == nil) != tt.want {
				t.Errorf("got %+v", refused)
			}
		})
	}
}
