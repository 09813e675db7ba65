package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	denied := &failure{"AccessDenied", "canary arn:aws:iam::111122223333:role/app"}
	tests := []struct {
		name    string
		request string
		ready   error
		status  int
		want    string // the body, unless empty
	}{
		{"alive", "GET /healthz", nil, 200, "ok\n"},
		{"alive though not ready", "GET /healthz", denied, 200, "ok\n"},
		{"alive, HEAD", "HEAD /healthz", nil, 200, ""},
		{"ready", "GET /readyz", nil, 200, "ok\n"},
		{"not ready", "GET /readyz", denied, 503, "not ready: AccessDenied\n"},
		{"not ready, wrapped", "GET /readyz", fmt.Errorf("canary: %w", denied), 503, "not ready: AccessDenied\n"},
		{"not ready, no code", "GET /readyz", errors.New("canary"), 503, "not ready\n"},
		{"not ready, HEAD", "HEAD /readyz", denied, 503, ""},
		{"metrics", "GET /metrics", denied, 200, ""},
		{"kubelet probe", "GET /readyz HTTP/1.1\nHost: 10.0.0.7:9912\nUser-Agent: kube-probe/1.34", nil, 200, "ok\n"},

		{"root", "GET /", nil, 404, ""},
		{"credentials", "GET /v1/credentials", nil, 404, ""},
		{"longer path", "GET /healthz/x", nil, 404, ""},
		{"slash at the end", "GET /metrics/", nil, 404, ""},
		{"profiles", "GET /debug/pprof/", nil, 404, ""},
		{"POST health", "POST /healthz", nil, 405, ""},
		{"POST ready", "POST /readyz", nil, 405, ""},
		{"POST metrics", "POST /metrics", nil, 405, ""},
		{"DELETE metrics", "DELETE /metrics", nil, 405, ""},
		{"OPTIONS *", "OPTIONS *", nil, 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			e := NewContainerEndpoint(ContainerGuard{Path: testPath}, Clients{}, ContainerCredentials(testRole), always(sample()), slog.New(slog.DiscardHandler), NewMetrics(reg))
			rawhttp.Exchange(t, serve(t, e), "GET /v1/credentials HTTP/1.1\nHost: localhost") // so that there is something to leak

			request := tt.request
			if !strings.Contains(request, "HTTP/") {
				request += " HTTP/1.1\nHost: 10.0.0.7:9912"
			}
			got := rawhttp.Exchange(t, serve(t, NewAdmin(reg, func() error { return tt.ready })), request)
			if got.Status != tt.status || tt.want != "" && got.Body != tt.want {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Body, tt.status, tt.want)
			}
			if got.Status == http.StatusMethodNotAllowed && got.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", got.Header.Get("Allow"))
			}
			for _, secret := range []string{"canary", "arn:", sample().AccessKeyID, sample().SecretAccessKey, sample().SessionToken} {
				if strings.Contains(got.Body, secret) {
					t.Errorf("%q is in the body: %s", secret, got.Body)
				}
			}
		})
	}
}

func TestAdminShowsTheMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	NewMetrics(reg).ok.Inc()
	got := rawhttp.Exchange(t, serve(t, NewAdmin(reg, func() error { return nil })), "GET /metrics HTTP/1.1\nHost: pod\nAccept-Encoding: gzip")
	if want := "\nirsa_sidecar_requests_total{code=\"200\"} 1\n"; !strings.Contains(got.Body, want) {
		t.Errorf("got %s, want %s", got.Body, want)
	}
	if encoding := got.Header.Get("Content-Encoding"); encoding != "" {
		t.Errorf("Content-Encoding %q", encoding)
	}
}
