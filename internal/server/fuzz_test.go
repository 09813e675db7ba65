package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

// A request that the guard accepts has a Host that other parsers also read as this
// machine, and meets all other conditions.
func FuzzGuard(f *testing.F) {
	for _, host := range []string{
		"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:9911", "127.8.8.8", "[::1]", "[::1]:80", "::1",
		"10.0.0.1", "169.254.170.2:80", "evil.example", "127.0.0.1:port@evil", "127.0.0.1.evil.example", "127.0.0.1:",
		"[::1%lo]", "[::ffff:127.0.0.1]", "[::ffff:169.254.170.2]", "[]", "", "127.1", "0x7f.1", "localho\u017ft",
	} {
		f.Add(host, testPath, "GET", "Accept", "right")
	}
	f.Add("localhost", testPath+"/", "HEAD", "User-Agent", "right")
	f.Add("localhost", testPath+"//", "GET", "Accept", "right")
	f.Add("localhost", testPath, "POST", "Accept", "right")
	f.Add("localhost", testPath, "GET", "x-forwarded-for", "right")
	f.Add("localhost", testPath, "GET", "Sec-Fetch-Site", "right")
	f.Add("localhost", testPath, "GET", "sec-fetch-mode", "right")
	f.Add("localhost", "//v1//credentials", "GET", "CF-Ray", "right")
	f.Add("localhost", testPath, "GET", "Authorization", "right")
	f.Add("localhost", testPath, "GET", "Accept", "Bearer right")

	local := net.IPv4(169, 254, 170, 2)
	guard := ContainerGuard{Path: testPath, Authorization: NewAuthorization("right")}
	ctx := context.WithValue(f.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: local, Port: 80})
	f.Fuzz(func(t *testing.T, host, path, method, header, authorization string) {
		r := (&http.Request{Method: method, Host: host, URL: &url.URL{Path: path}, Header: make(http.Header)}).WithContext(ctx)
		r.Header.Add(header, "x")
		r.Header.Add("Authorization", authorization)
		refused := guard.check(r)
		if isLocalHost(r) && host != "" && !ownHost(host, local) {
			t.Errorf("host %q is accepted", host)
		}
		if !isLocalHost(r) && strictHost.MatchString(host) {
			t.Errorf("host %q is refused", host)
		}
		if refused != nil {
			if refused.status < 400 || refused.status > 499 || refused.code == "" || refused.reason == "" || refused.message == "" {
				t.Errorf("%+v", refused)
			}
			return
		}
		if strings.TrimSuffix(runs.ReplaceAllString(path, "/"), "/") != testPath {
			t.Errorf("path %q is accepted", path)
		}
		if method != "GET" && method != "HEAD" {
			t.Errorf("method %q is accepted", method)
		}
		if senderHeader.MatchString(header) {
			t.Errorf("header %q is accepted", header)
		}
		if authorization != "right" || strings.EqualFold(header, "Authorization") {
			t.Errorf("authorization %q with header %s is accepted", authorization, header)
		}
	})
}

var (
	// strictHost matches hosts that must be accepted.
	strictHost = regexp.MustCompile(`^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$`)

	// senderHeader matches headers that expose a relay or a browser.
	senderHeader = regexp.MustCompile(`(?i)^(forwarded|via|origin|referer|(x-forwarded|x-envoy|cf|sec-ch|access-control-request)-[a-z-]*|x-real-ip|sec-fetch-(site|dest|user)|sec-(purpose|gpc))$`)

	runs = regexp.MustCompile(`/+`)
)

// ownHost reports whether a client that connects to host reaches this machine.
func ownHost(host string, local net.IP) bool {
	if ip := net.ParseIP(host); ip != nil { // also IPv6 without brackets
		return ip.IsLoopback() || ip.Equal(local)
	}
	u, err := url.Parse("http://" + host + "/")
	if err != nil || u.Host != host || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip.IsLoopback() || ip.Equal(local)
}

// Whatever bytes a connection sends, the answer is empty or begins with a status line,
// only a correct request gets credentials, and the next request is served.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"",
		"\r\n\r\n",
		"GET",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\nAuthorization: right\r\n\r\n",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\nAuthorization: right\r\n\r\nGET /v1/credentials HTTP/1.1\r\nHost: evil\r\n\r\n",
		"HEAD /v1/credentials/ HTTP/1.0\r\nHost: 127.0.0.1:1\r\nAuthorization: right\r\nConnection: keep-alive\r\n\r\n",
		"GET http://evil.example/v1/credentials HTTP/1.1\r\nHost: localhost\r\nAuthorization: right\r\n\r\n",
		"POST /v1/credentials HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Via\r\n\r\n1\r\nx\r\n0\r\nVia: x\r\n\r\n",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
		"GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"CONNECT localhost:80 HTTP/1.1\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
		"GET /%zz HTTP/1.1\r\nHost: \x00\r\nVia\r\n: x\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	var log journal
	send := serveUnix(f, NewContainerEndpoint(ContainerGuard{Path: testPath, Authorization: NewAuthorization("right")}, Clients{}, ContainerCredentials(testRole),
		always(sample()), log.logger(), NewMetrics(prometheus.NewRegistry())), &log)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := send(t, raw)
		if len(got) > 0 && !statusLine.Match(got) {
			t.Errorf("%q: got %q", raw, got)
		}
		if bytes.Contains(got, []byte("ASIA")) && !(bytes.Contains(raw, []byte("right")) && bytes.Contains(raw, []byte("GET "))) {
			t.Errorf("%q: got credentials", raw)
		}
		if strings.Contains(log.String(), "panic") {
			t.Fatalf("%q: %s", raw, log.String())
		}
		good := strings.Replace(goodRequest, "\r\n\r\n", "\r\nAuthorization: right\r\n\r\n", 1)
		if got := send(t, []byte(good)); !bytes.HasSuffix(got, []byte("\r\n\r\n"+golden)) {
			t.Errorf("afterwards: got %q", got)
		}
	})
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] [1-5][0-9][0-9] `)

// The same for the instance metadata endpoint: no request gets credentials without a
// session.
func FuzzIMDSRequest(f *testing.F) {
	const credentials = "GET /latest/meta-data/iam/security-credentials/app HTTP/1.1\r\nHost: localhost\r\n"
	var log journal
	e := NewInstanceEndpoint(Instance{Role: testRole, Region: "eu-west-1"}, Clients{}, always(sample()), log.logger(), NewMetrics(prometheus.NewRegistry())).(*endpoint)
	send := serveUnix(f, e, &log)
	token := e.guard.(*imds).sessions.issue(maxTTL * time.Second)
	session := "X-aws-ec2-metadata-token: " + token + "\r\n"
	for _, request := range []string{
		"",
		credentials + "\r\n",
		credentials + "X-aws-ec2-metadata-token: \r\n\r\n",
		credentials + "X-aws-ec2-metadata-token: x\r\n\r\n",
		credentials + session + session + "\r\n",
		strings.Replace(credentials, "localhost", "evil", 1) + session + "\r\n",
		"PUT /latest/api/token HTTP/1.1\r\nHost: localhost\r\nX-aws-ec2-metadata-token-ttl-seconds: 1\r\n\r\n" + credentials + "\r\n",
		"PUT /latest/api/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nX-aws-ec2-metadata-token-ttl-seconds: +1\r\n\r\nhello",
		"PUT /latest/api/token/ HTTP/1.0\r\nHost: 127.0.0.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\nVia: x\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := send(t, raw)
		if len(got) > 0 && !statusLine.Match(got) {
			t.Errorf("%q: got %q", raw, got)
		}
		if bytes.Contains(got, []byte("ASIA")) && !bytes.Contains(raw, []byte(token)) {
			t.Errorf("%q: got credentials", raw)
		}
		if strings.Contains(log.String(), "panic") {
			t.Fatalf("%q: %s", raw, log.String())
		}
		if got := send(t, []byte(credentials+session+"\r\n")); !bytes.Contains(got, []byte("ASIA")) {
			t.Errorf("afterwards: got %q", got)
		}
	})
}

// serveUnix serves handler on a Unix socket. Like TCP, it can be closed for writing, but
// thousands of connections a second do not use up the machine's ports. serveUnix returns
// a function that sends bytes over a new connection and returns the answer.
func serveUnix(f *testing.F, handler http.Handler, log *journal) func(t *testing.T, raw []byte) []byte {
	socket := filepath.Join(f.TempDir(), "socket")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		f.Fatal(err)
	}
	serveOn(f, ln, handler, log.logger())
	return func(t *testing.T, raw []byte) []byte {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(rawhttp.Patience))
		conn.Write(raw) // fails if the server has read enough
		conn.(*net.UnixConn).CloseWrite()
		got, err := io.ReadAll(conn)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatalf("%q: neither answered nor closed: %v", raw, err)
		}
		return got
	}
}
