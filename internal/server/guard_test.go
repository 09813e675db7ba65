package server

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// Each header that exposes a relay or a browser, and the same headers as SDKs and programs
// send them.
func TestSigns(t *testing.T) {
	t.Parallel()
	const relay, browser, honest = "403 ForwardedRequest", "403 BrowserRequest", "200"
	addr := serve(t, newContainer(always(sample()), nil))
	tests := []struct {
		name string
		want string
	}{
		{"X-Forwarded-For: 10.0.0.1", relay},
		{"x-forwarded-for: 10.0.0.1", relay},
		{"X-FORWARDED-FOR: 10.0.0.1", relay},
		{"X-Forwarded-For:", relay},
		{"X-Forwarded-Host: example.com", relay},
		{"X-Forwarded-Proto: https", relay},
		{"X-Forwarded-Client-Cert: x", relay},
		{"X-Forwarded: for=10.0.0.1", relay},
		{"Forwarded: for=10.0.0.1", relay},
		{"Via: 1.1 proxy", relay},
		{"via: 1.1 proxy", relay},
		{"X-Real-IP: 10.0.0.1", relay},
		{"X-Client-IP: 10.0.0.1", relay},
		{"X-Cluster-Client-IP: 10.0.0.1", relay},
		{"True-Client-IP: 10.0.0.1", relay},
		{"CF-Connecting-IP: 10.0.0.1", relay},
		{"CF-Ray: 1", relay},
		{"CDN-Loop: cdn", relay},
		{"X-Varnish: 32770", relay},
		{"Max-Forwards: 9", relay},
		{"X-Envoy-External-Address: 10.0.0.1", relay},
		{"X-Original-URL: /", relay},
		{"X-Original-Forwarded-For: 10.0.0.1", relay},
		{"Proxy-Connection: keep-alive", relay},

		{"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", browser},
		{"User-Agent: curl/8.0\nUser-Agent: Mozilla/5.0", browser},
		{"Upgrade-Insecure-Requests: 1", browser},
		{"Origin: https://evil.example", browser},
		{"Origin: null", browser},
		{"Referer: https://evil.example/", browser},
		{"Sec-Fetch-Site: none", browser},
		{"sec-fetch-site: none", browser},
		{"Sec-Fetch-Dest: image", browser},
		{"Sec-Fetch-User: ?1", browser},
		{"Sec-CH-UA: x", browser},
		{"Sec-CH-UA-Mobile: ?0", browser},
		{"Sec-Purpose: prefetch", browser},
		{"Sec-WebSocket-Version: 13", browser},
		{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\nUser-Agent: renderer/1", browser},
		{"Access-Control-Request-Method: PUT", browser},
		{"Access-Control-Request-Headers: x", browser},

		// Node.js's fetch.
		{"accept: */*\naccept-language: *\nsec-fetch-mode: cors\nuser-agent: node\naccept-encoding: gzip, deflate", honest},
		// java.net.HttpURLConnection and java.net.http.
		{"User-Agent: Java/1.8.0_402\nAccept: text/html, image/gif, image/jpeg, */*; q=0.2", honest},
		{"Connection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\nUpgrade: h2c", honest},
		{"User-Agent: aws-sdk-nodejs/2.400.0", honest},
		{"User-Agent: NotMozilla/5.0", honest},
		{"Accept: application/json", honest},
		{"Accept-Encoding: gzip, deflate", honest},
		{"Authorization: anything", honest},
		{"Amz-Sdk-Request: attempt=1", honest},
		{"Content-Type: application/json", honest},
		{"X-Amzn-Trace-Id: Root=1", honest},
		{"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", honest},
		{"Expect: 100-continue", honest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rawhttp.Exchange(t, addr, "GET /v1/credentials HTTP/1.1\nHost: localhost\n"+tt.name)
			answer := strconv.Itoa(got.Status)
			if got.Status != http.StatusOK {
				code, message := fault(t, got)
				answer += " " + code
				if name, _, _ := strings.Cut(tt.name, ":"); !strings.Contains(strings.ToLower(message), strings.ToLower(name)) {
					t.Errorf("the message does not name %s: %s", name, message)
				}
			}
			if answer != tt.want {
				t.Errorf("got %s, want %s", answer, tt.want)
			}
		})
	}
}

// A refusal ends the connection, and so does a body: whoever can get a second request into
// a connection of somebody else's gets no answer to it. (Of what comes at once with the
// first, package listen answers nothing.)
func TestNothingIsAnsweredBehindARefusal(t *testing.T) {
	t.Parallel()
	const (
		good   = "GET /v1/credentials HTTP/1.1\nHost: localhost\nAuthorization: right"
		behind = "GET /latest/meta-data/iam/security-credentials/app HTTP/1.1\nHost: localhost"
	)
	container := serve(t, newContainer(always(sample()), NewAuthorization("right")))
	instance := serve(t, newInstance(Instance{Role: testRole, V1: true}, always(sample())))
	for _, tt := range []struct {
		name          string
		addr          string
		first, second string
		want          int
	}{
		{"host", container, "GET / HTTP/1.1\nHost: evil.example", good, 403},
		{"relay", container, "GET / HTTP/1.1\nHost: localhost\nVia: 1.1 proxy", good, 403},
		{"browser", container, "GET / HTTP/1.1\nHost: localhost\nOrigin: null", good, 403},
		{"authorization", container, "GET /v1/credentials HTTP/1.1\nHost: localhost", good, 401},
		{"a body", container, "POST /v1/credentials HTTP/1.1\nHost: localhost\nContent-Length: 4", "body" + good, 405},
		{"a body that is chunked", container, "POST / HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked", "0\n\n" + good, 404},
		{"a body with two lengths", container, "GET / HTTP/1.1\nHost: localhost\nContent-Length: 5\nTransfer-Encoding: chunked", "0\n\n" + good, 404},
		{"session", instance, "GET / HTTP/1.1\nHost: localhost\nX-Aws-Ec2-Metadata-Token: x", behind, 401},
		{"TTL", instance, "PUT /latest/api/token HTTP/1.1\nHost: localhost", behind, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := rawhttp.Dial(t, tt.addr)
			io.WriteString(conn, rawhttp.Wire(tt.first))
			time.Sleep(50 * time.Millisecond) // or it would come at once
			io.WriteString(conn, rawhttp.Wire(tt.second))
			raw, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			got := rawhttp.Parse(t, string(raw))
			if got.Status != tt.want || got.Header.Get("Connection") != "close" || strings.Contains(got.Body, "HTTP/1.1") {
				t.Errorf("got %d %v %s, want %d and nothing behind it", got.Status, got.Header, got.Body, tt.want)
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
		{"browser", "Accept-Language: *", "Origin: null", "BrowserRequest", 403},
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
			e := newContainer(always(sample()), NewAuthorization("right"))
			host, relay, browser, path, method, authorization := parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]
			got := rawhttp.Exchange(t, serve(t, e), method+" "+path+" HTTP/1.1\nHost: "+host+"\n"+relay+"\n"+browser+"\n"+authorization)
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
		{"/v1/credentials/3f2a", "//v1///credentials////3f2a//", true},
		{"/v1/credentials/3f2a", "/v1/credentials3f2a", false},
		{"", "/", true},
		{"", "///", true},
		{"", "//v1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			r := requestTo(t, "localhost", "")
			r.URL.Path = tt.path
			g := ContainerGuard{Path: tt.name}
			if refused := g.check(r); (refused == nil) != tt.want {
				t.Errorf("got %+v", refused)
			}
		})
	}
}
