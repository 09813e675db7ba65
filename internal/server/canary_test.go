package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

// Every secret contains "canary", and so does much of what unauthorized clients send. It
// appears nowhere except in the answer to an authorized request.
func TestCanaries(t *testing.T) {
	t.Parallel()
	const secretPath = "/v1/credentials/canary-path"
	c := aws.Credentials{
		AccessKeyID: "canary-id", SecretAccessKey: "canary-key", SessionToken: strings.Repeat("canary-session", 1000),
		CanExpire: true, Expires: time.Now().Add(time.Hour),
	}
	var available atomic.Bool
	provider := providerFunc(func(context.Context) (aws.Credentials, error) {
		if available.Load() {
			return c, nil
		}
		return aws.Credentials{}, &failure{"AccessDenied", "check the trust policy"}
	})
	var log journal
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "canary-token")
	authorization := authorizationFromFile(t, file, log.logger())
	reg := prometheus.NewRegistry()
	ln, adminLn := openListener(t, "127.0.0.1:0"), openListener(t, "127.0.0.1:0")
	container := NewContainerEndpoint(ContainerGuard{Path: secretPath, Authorization: authorization}, Clients{}, ContainerCredentials(testRole), provider, log.logger(), NewMetrics(reg))
	serveOn(t, ln, container, log.logger())
	serveOn(t, adminLn, NewAdmin(reg, func() error {
		_, err := provider.Retrieve(t.Context())
		return errors.Join(err, errors.New("canary-message"))
	}), log.logger())

	const host, right = "\nHost: localhost", "\nAuthorization: canary-token"
	authorized := "GET " + secretPath + " HTTP/1.1" + host + right
	refused := []string{
		"GET " + secretPath + " HTTP/1.1" + host,
		"GET " + secretPath + " HTTP/1.1" + host + "\nAuthorization: canary-wrong",
		"GET " + secretPath + " HTTP/1.1" + host + right + right,
		"GET " + secretPath + "/canary HTTP/1.1" + host + right,
		"GET " + secretPath + " HTTP/1.1\nHost: canary.example" + right,
		"GET http://canary.example" + secretPath + " HTTP/1.1" + host + right,
		"GET " + secretPath + " HTTP/1.1" + host + right + "\nX-Forwarded-For: canary",
		"CANARY " + secretPath + " HTTP/1.1" + host + right,
		"POST " + secretPath + " HTTP/1.1" + host + right + "\nContent-Length: 6\n\ncanary",
		"OPTIONS * HTTP/1.1" + host + right,
		"GET /?canary HTTP/1.1" + host + right,
		"GET " + secretPath + " HTTP/1.1\nHost: canary/@" + right,
		"GET " + secretPath + " HTTP/canary" + host + right,
		"GET " + secretPath + " HTTP/1.1" + host + right + "\ncanary header: x",
		"GET " + secretPath + " HTTP/1.1" + host + right + "\nCanary: \x01",
		"POST " + secretPath + " HTTP/1.1" + host + right + "\nTransfer-Encoding: canary",
		"POST " + secretPath + " HTTP/1.1" + host + right + "\nContent-Length: canary",
		"canary" + host,
	}
	check := func(request string, got rawhttp.Reply, statuses ...int) {
		t.Helper()
		for _, status := range statuses {
			if got.Status == status {
				t.Errorf("%q is answered with %d", request, status)
			}
		}
		for name, values := range got.Header {
			if strings.Contains(strings.ToLower(name+strings.Join(values, "")), "canary") {
				t.Errorf("%q: header %s: %q", request, name, values)
			}
		}
		if strings.Contains(strings.ToLower(got.Body), "canary") {
			t.Errorf("%q: body %s", request, got.Body)
		}
	}
	for _, now := range []bool{false, true} {
		available.Store(now)
		for _, request := range refused {
			check(request, rawhttp.Exchange(t, ln.Addr().String(), request), http.StatusOK, http.StatusServiceUnavailable)
			check(request, rawhttp.Exchange(t, adminLn.Addr().String(), request), http.StatusOK)
		}
		got := rawhttp.Exchange(t, ln.Addr().String(), authorized)
		if !now {
			check(authorized, got, http.StatusOK)
		} else if got.Status != http.StatusOK || !strings.Contains(got.Body, "canary-session") {
			t.Errorf("the authorized request got %d %s", got.Status, got.Body)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			request := "GET " + path + " HTTP/1.1" + host
			check(request, rawhttp.Exchange(t, adminLn.Addr().String(), request), http.StatusNotFound)
		}
	}
	now := time.Now()
	for _, content := range []string{"canary-2", "canary\x00", "", "canary-3", strings.Repeat("canary", 1<<16)} {
		write(t, file, content)
		now = now.Add(time.Minute)
		authorization.reload(now.UnixNano())
	}
	cut := rawhttp.Dial(t, ln.Addr().String())
	io.WriteString(cut, authorized)
	cut.Close()

	if strings.Contains(strings.ToLower(log.String()), "canary") {
		t.Errorf("log: %s", log.String())
	}
	if !strings.Contains(log.String(), "too large") || !strings.Contains(log.String(), "token changed") {
		t.Errorf("the log lacks the expected lines: %s", log.String())
	}
}
