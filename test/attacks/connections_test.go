//go:build attacks

package attacks

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

// Behind a refused request, another on the same connection gets no answer: a front proxy
// that keeps its connection would hand that to whoever smuggled the request through it.
func TestRequestsBehindARefusedOne(t *testing.T) {
	p := startPod(t)
	refused := map[string]string{
		"a browser's":      "User-Agent: Mozilla/5.0",
		"a relay's":        "X-Forwarded-For: 10.0.0.9",
		"a foreign host's": "",
		"a wrong session":  "X-aws-ec2-metadata-token: wrong",
	}
	for _, e := range endpoints {
		second := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", e.path, e.host())
		bodies := map[string]string{
			"pipelined":      "\r\n" + second,
			"smuggled CL.TE": fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", len("0\r\n\r\n"+second), second),
			"smuggled TE.CL": fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(second), second),
			"smuggled CL.CL": fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n%s", len(second), second),
			"in a body":      fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(second), second),
		}
		for refusal, field := range refused {
			if field == refused["a wrong session"] && e.name != "imds" {
				continue
			}
			host := e.host()
			if field == "" {
				host, field = "front.example", "Accept: */*"
			}
			for name, body := range bodies {
				t.Run(e.name+", "+name+" behind "+refusal, func(t *testing.T) {
					n := p.during(t, func() {
						got := converse(t, e, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", e.path, host, field, body))
						if count := strings.Count(got, "HTTP/1.1 "); count != 1 || p.shown(got) {
							t.Errorf("%d answers, want 1:\n%s", count, got)
						}
					})
					if n.ok != 0 {
						t.Errorf("%d requests got credentials", n.ok)
					}
				})
			}
		}
	}
	p.serves(t)
}

// converse sends raw and returns everything that comes until the sidecar closes the
// connection, which it does by itself.
func converse(t *testing.T, e endpoint, raw string) string {
	t.Helper()
	conn := rawhttp.Dial(t, e.address)
	defer conn.Close()
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("the sidecar does not close the connection: %v", err)
	}
	return string(got)
}

// Relays that are no packages of Debian, as their documentation describes them, and the
// requests that only a proxy gets.
func TestRequestsOfOtherRelays(t *testing.T) {
	p := startPod(t)
	fields := map[string]string{
		"Envoy":        "x-forwarded-proto: http\r\nx-request-id: 8c4a0ca6-5a9f-4b8f-8f62-0f64d7a3f6c9",
		"Envoy, quiet": "x-envoy-expected-rq-timeout-ms: 15000",
		"Istio":        "x-envoy-attempt-count: 1\r\nx-b3-traceid: 463ac35c9f6413ad48485a3953bb6124",
		"Traefik":      "X-Forwarded-Host: front.example\r\nX-Real-Ip: 10.0.0.9",
		"Cloudflare":   "CF-Connecting-IP: 10.0.0.9\r\nCDN-Loop: cloudflare",
		"Akamai":       "True-Client-IP: 10.0.0.9",
		"Apigee":       "X-Client-IP: 10.0.0.9",
		"ingress":      "X-Original-URI: /",
		"RFC 7239":     "Forwarded: for=10.0.0.9",
		"old client":   "Proxy-Connection: keep-alive",
		"OPTIONS hop":  "Max-Forwards: 10",
	}
	for _, e := range endpoints {
		requests := map[string]string{
			"absolute form": fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", e.url(), e.host()),
			"CONNECT":       fmt.Sprintf("CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", e.address),
		}
		for name, lines := range fields {
			requests[name] = fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", e.path, e.host(), lines)
		}
		for name, request := range requests {
			t.Run(e.name+", "+name, func(t *testing.T) {
				n := p.during(t, func() {
					if got := converse(t, e, request); !strings.HasPrefix(got, "HTTP/1.1 4") || p.shown(got) {
						t.Errorf("want a refusal, got %s", got)
					}
				})
				if n.ok != 0 {
					t.Errorf("%d requests got credentials", n.ok)
				}
			})
		}
	}
}
