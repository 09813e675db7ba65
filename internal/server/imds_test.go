package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

// pathRole has a path, which the metadata service does not show, and a character that
// some clients escape.
var pathRole = arn.ARN{Partition: "aws-cn", Service: "iam", AccountID: "111122223333", Resource: "role/team/a+b"}

func newInstance(m Instance, provider Provider) *endpoint {
	return NewInstanceEndpoint(m, Clients{}, provider, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).(*endpoint)
}

// session requests a session token from addr.
func session(t *testing.T, addr string, ttl int) string {
	t.Helper()
	got := rawhttp.Exchange(t, addr, fmt.Sprintf("PUT /latest/api/token HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 0\nX-aws-ec2-metadata-token-ttl-seconds: %d", ttl))
	if got.Status != http.StatusOK || got.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != fmt.Sprint(ttl) {
		t.Fatalf("got %d %v %s", got.Status, got.Header, got.Body)
	}
	return got.Body
}

func TestIMDSRequests(t *testing.T) {
	t.Parallel()
	m := Instance{Role: pathRole, Region: "eu-west-1", V1: true}
	addr := serve(t, newInstance(m, always(sample())))
	m.V1 = false
	strictAddr := serve(t, newInstance(m, always(sample())))
	const host, list = " HTTP/1.1\nHost: 127.0.0.1", "/latest/meta-data/iam/security-credentials"
	token := "\nX-aws-ec2-metadata-token: " + session(t, addr, 60)
	strictToken := "\nX-aws-ec2-metadata-token: " + session(t, strictAddr, 60)
	tests := []struct {
		name    string
		addr    string
		request string
		want    string // the status, and the body of an answer or the code of an error
	}{
		{"v1: role", addr, "GET " + list + host, "200 a+b"},
		{"v1: role, a slash at the end, as in old SDKs", addr, "GET " + list + "/" + host, "200 a+b"},
		{"v1: credentials", addr, "GET " + list + "/a+b" + host, "200 credentials"},
		{"v1: credentials, escaped", addr, "GET " + list + "/a%2Bb" + host, "200 credentials"},
		{"v1: credentials, a slash at the end", addr, "GET " + list + "/a+b/" + host, "200 credentials"},
		{"v1: region", addr, "GET /latest/meta-data/placement/region" + host, "200 eu-west-1"},
		{"v1: HTTP/1.0 without a Host", addr, "GET " + list + " HTTP/1.0", "200 a+b"},
		{"v1: a query", addr, "GET " + list + "/?x=y" + host, "200 a+b"},
		{"v2: role", addr, "GET " + list + "/" + host + token, "200 a+b"},
		{"v2: credentials", addr, "GET " + list + "/a+b" + host + token, "200 credentials"},
		{"v2: a session of another process", addr, "GET " + list + host + strictToken, "401 Unauthorized"},
		{"v2: a made-up session", addr, "GET " + list + host + "\nX-aws-ec2-metadata-token: token", "401 Unauthorized"},
		{"v2: an empty session", addr, "GET " + list + host + "\nX-aws-ec2-metadata-token:", "401 Unauthorized"},
		{"v2: two sessions", addr, "GET " + list + host + token + token, "401 Unauthorized"},
		{"v2 only: credentials", strictAddr, "GET " + list + "/a+b" + host + strictToken, "200 credentials"},
		{"v2 only: no session", strictAddr, "GET " + list + "/a+b" + host, "401 Unauthorized"},
		{"v2 only: no session for the role", strictAddr, "GET " + list + host, "401 Unauthorized"},
		{"v2 only: no session for the region", strictAddr, "GET /latest/meta-data/placement/region" + host, "401 Unauthorized"},
		{"v2 only: a session of another process", strictAddr, "GET " + list + host + token, "401 Unauthorized"},

		{"v2 only: no session, unknown path", strictAddr, "GET " + list + "/other" + host, "401 Unauthorized"},
		{"v2 only: unknown path", strictAddr, "GET " + list + "/other" + host + strictToken, "404 NotFound"},

		{"session: TTL +1", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: +1", "400 BadRequest"},
		{"session: no TTL", addr, "PUT /latest/api/token" + host, "400 BadRequest"},
		{"session: TTL 0", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 0", "400 BadRequest"},
		{"session: TTL -1", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: -1", "400 BadRequest"},
		{"session: TTL 21601", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 21601", "400 BadRequest"},
		{"session: TTL with a unit", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 1h", "400 BadRequest"},
		{"session: TTL overflows", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 99999999999999999999", "400 BadRequest"},
		{"session: two TTLs", addr, "PUT /latest/api/token" + host + "\nX-aws-ec2-metadata-token-ttl-seconds: 1\nX-aws-ec2-metadata-token-ttl-seconds: 1", "400 BadRequest"},
		{"session: GET", addr, "GET /latest/api/token" + host, "405 MethodNotAllowed PUT"},
		{"session: POST", addr, "POST /latest/api/token" + host + "\nContent-Length: 0", "405 MethodNotAllowed PUT"},
		{"session: through a proxy", addr, "PUT /latest/api/token" + host + "\nX-Forwarded-For: 10.0.0.1\nX-aws-ec2-metadata-token-ttl-seconds: 60", "403 ForwardedRequest"},
		{"session: through another proxy", addr, "PUT /latest/api/token" + host + "\nVia: 1.1 proxy\nX-aws-ec2-metadata-token-ttl-seconds: 60", "403 ForwardedRequest"},
		{"session: DNS rebinding", addr, "PUT /latest/api/token HTTP/1.1\nHost: evil.example\nX-aws-ec2-metadata-token-ttl-seconds: 60", "403 HostNotAllowed"},

		{"credentials through a proxy", addr, "GET " + list + "/a+b" + host + "\nX-Forwarded-For: 10.0.0.1", "403 ForwardedRequest"},
		{"credentials by DNS rebinding", addr, "GET " + list + "/a+b HTTP/1.1\nHost: evil.example", "403 HostNotAllowed"},
		{"POST", addr, "POST " + list + "/a+b" + host + "\nContent-Length: 0", "405 MethodNotAllowed GET, HEAD"},
		{"PUT", addr, "PUT " + list + host, "405 MethodNotAllowed GET, HEAD"},
		{"another role", addr, "GET " + list + "/other" + host, "404 NotFound"},
		{"the role with its path", addr, "GET " + list + "/team/a+b" + host, "404 NotFound"},
		{"user data", addr, "GET /latest/user-data" + host, "404 NotFound"},
		{"signature of the identity", addr, "GET /latest/dynamic/instance-identity/pkcs7" + host, "404 NotFound"},
		{"root", addr, "GET /" + host, "404 NotFound"},
		{"the container endpoint's path", addr, "GET /v1/credentials" + host, "404 NotFound"},
		{"OPTIONS *", addr, "OPTIONS *" + host, "404 NotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rawhttp.Exchange(t, tt.addr, tt.request)
			answer := got.Body
			if strings.Contains(got.Body, "ASIAEXAMPLE") {
				answer = "credentials"
			} else if got.Status != http.StatusOK {
				if json.Valid([]byte(got.Body)) || got.Header.Get("Content-Type") != "text/plain" {
					t.Errorf("an old SDK would take this for credentials: %s", got.Body)
				}
				answer, _, _ = strings.Cut(got.Body, ": ")
			}
			if allow := got.Header.Get("Allow"); allow != "" {
				answer += " " + allow
			}
			if answer = fmt.Sprintf("%d %s", got.Status, answer); answer != tt.want {
				t.Errorf("got %s, want %s", answer, tt.want)
			}
		})
	}
}

// The role's name is served even while there are no credentials.
func TestIMDSWithoutCredentials(t *testing.T) {
	t.Parallel()
	provider := &pending{ready: make(chan struct{}), err: &failure{"AccessDenied", "check the trust policy"}}
	addr := serve(t, newInstance(Instance{Role: testRole, V1: true}, provider))
	for path, want := range map[string]int{
		"/latest/meta-data/iam/security-credentials/":    200,
		"/latest/meta-data/iam/security-credentials/app": 503,
		"/latest/meta-data/iam/info":                     503,
		"/latest/meta-data/placement/region":             404, // none is set
		"/latest/dynamic/instance-identity/document":     200,
	} {
		got := rawhttp.Exchange(t, addr, "GET "+path+" HTTP/1.1\nHost: 127.0.0.1")
		if got.Status != want {
			t.Errorf("%s: got %d %s, want %d", path, got.Status, got.Body, want)
		}
		if want == 503 && (!strings.HasPrefix(got.Body, "CredentialsUnavailable: AccessDenied: ") || got.Header.Get("Retry-After") != "2") {
			t.Errorf("%s: got %v %s", path, got.Header, got.Body)
		}
	}
}

func TestIMDSCounts(t *testing.T) {
	t.Parallel()
	e := newInstance(Instance{Role: testRole, Region: "eu-west-1"}, always(sample()))
	addr := serve(t, e)
	token := "\nX-aws-ec2-metadata-token: " + session(t, addr, 1)
	for _, request := range []string{
		"GET /latest/meta-data/placement/region HTTP/1.1\nHost: 127.0.0.1" + token,
		"GET /latest/meta-data/iam/security-credentials/app HTTP/1.1\nHost: 127.0.0.1" + token,
		"GET /latest/meta-data/iam/security-credentials/app HTTP/1.1\nHost: 127.0.0.1",
		"GET /latest/meta-data/ami-id HTTP/1.1\nHost: 127.0.0.1" + token,
		"PUT /latest/api/token HTTP/1.1\nHost: 127.0.0.1",
	} {
		rawhttp.Exchange(t, addr, request)
	}
	// An unknown path is not a refusal: SDKs try some, and an alert counts refusals.
	for code, want := range map[string]int{"200": 3, "400": 1, "401": 1, "403": 0, "404": 1, "405": 0, "503": 0} {
		if n := count(e.metrics.requests.WithLabelValues(code)); n != want {
			t.Errorf("%d requests answered with %s, want %d", n, code, want)
		}
	}
	for reason, want := range map[string]int{"host": 0, "forwarded": 0, "browser": 0, "path": 0, "method": 0, "authorization": 1} {
		if n := count(e.metrics.refused.WithLabelValues(reason)); n != want {
			t.Errorf("%d requests refused for %s, want %d", n, reason, want)
		}
	}
	if v1, v2 := count(e.metrics.v1), count(e.metrics.v2); v1 != 1 || v2 != 3 {
		t.Errorf("%d requests of version 1 and %d of version 2, want 1 and 3", v1, v2)
	}
}
