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
)

// Everything secret has "canary" in it, and so has much of what strangers
// send. It comes out nowhere but in the answer to who may ask.
func TestCanaries(t *testing.T) {
	t.Parallel()
	const secretPath = "/v1/credentials/canary-path"
	c := aws.Credentials{
		AccessKeyID: "canary-id", SecretAccessKey: "canary-key", SessionToken: strings.Repeat("canary-session", 1000),
		CanExpire: true, Expires: time.Now().Add(time.Hour),
	}
	var available atomic.Bool
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		if available.Load() {
			return c, nil
		}
		return aws.Credentials{}, &failure{"AccessDenied", "look at the trust policy"}
	})
	var log journal
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "canary-token")
	authorization, err := NewAuthorizationFile(file, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	ln, adminLn := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	door := NewDoor(Guard{Path: secretPath, Authorization: authorization}, ContainerCredentials(testRole), provider, log.logger(), NewMetrics(reg))
	serveOn(t, ln, door, log.logger())
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
	check := func(request string, got reply, statuses ...int) {
		t.Helper()
		for _, status := range statuses {
			if got.status == status {
				t.Errorf("%q is answered with %d", request, status)
			}
		}
		for name, values := range got.header {
			if strings.Contains(strings.ToLower(name+strings.Join(values, "")), "canary") {
				t.Errorf("%q: header %s: %q", request, name, values)
			}
		}
		if strings.Contains(strings.ToLower(got.body), "canary") {
			t.Errorf("%q: body %s", request, got.body)
		}
	}
	for _, now := range []bool{false, true} {
		available.Store(now)
		for _, request := range refused {
			check(request, exchange(t, ln.Addr().String(), request), http.StatusOK, http.StatusServiceUnavailable)
			check(request, exchange(t, adminLn.Addr().String(), request), http.StatusOK)
		}
		got := exchange(t, ln.Addr().String(), authorized)
		if !now {
			check(authorized, got, http.StatusOK)
		} else if got.status != http.StatusOK || !strings.Contains(got.body, "canary-session") {
			t.Errorf("the authorized request got %d %s", got.status, got.body)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			request := "GET " + path + " HTTP/1.1" + host
			check(request, exchange(t, adminLn.Addr().String(), request), http.StatusNotFound)
		}
	}
	now := time.Now()
	for _, content := range []string{"canary-2", "canary\x00", "", "canary-3", strings.Repeat("canary", 1<<16)} {
		write(t, file, content)
		now = now.Add(time.Minute)
		authorization.look(now.UnixNano())
	}
	cut := dial(t, ln.Addr().String())
	io.WriteString(cut, authorized)
	cut.Close()

	if strings.Contains(strings.ToLower(log.String()), "canary") {
		t.Errorf("log: %s", log.String())
	}
	if !strings.Contains(log.String(), "too large") || !strings.Contains(log.String(), "token changed") {
		t.Errorf("the run did not log what it should: %s", log.String())
	}
}
