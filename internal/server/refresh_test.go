package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Only a POST of the sidecar's own user, from this pod, causes a refresh.
func TestRefresh(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path string
		header             http.Header
		uid                uint32
		uidErr             error
		status             int
		refreshed          bool
	}{
		{name: "own user", method: "POST", path: "/v1/refresh", uid: 9911, status: 200, refreshed: true},
		{name: "another user", method: "POST", path: "/v1/refresh", uid: 1000, status: 403},
		{name: "root", method: "POST", path: "/v1/refresh", uid: 0, status: 403},
		{name: "unknown user", method: "POST", path: "/v1/refresh", uid: 9911, uidErr: errors.New("unknown"), status: 403},
		{name: "a GET", method: "GET", path: "/v1/refresh", uid: 9911, status: 405},
		{name: "through a proxy", method: "POST", path: "/v1/refresh", header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}, uid: 9911, status: 403},
		{name: "of a web page", method: "POST", path: "/v1/refresh", header: http.Header{"Origin": {"https://example"}}, uid: 9911, status: 403},
		{name: "another path", method: "POST", path: "/v1/refresh/", uid: 9911, status: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refreshed := false
			r := Refresh{Path: "/v1/refresh", User: 9911, UID: func(*http.Request) (uint32, error) { return tt.uid, tt.uidErr },
				Now: func(context.Context) error { refreshed = true; return nil }}
			srv := httptest.NewServer(NewRefresh(r, http.NotFoundHandler(), NewMetrics(prometheus.NewRegistry())))
			defer srv.Close()
			request, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(request.Header, tt.header)
			resp, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status || refreshed != tt.refreshed {
				t.Errorf("HTTP %d, refreshed: %t", resp.StatusCode, refreshed)
			}
		})
	}
}

// An attempt that fails is no success, and the answer says why.
func TestRefreshThatFails(t *testing.T) {
	t.Parallel()
	r := Refresh{Path: "/v1/refresh", UID: func(*http.Request) (uint32, error) { return 0, nil }, Now: func(context.Context) error { return errors.New("no \"luck\"") }}
	srv := httptest.NewServer(NewRefresh(r, http.NotFoundHandler(), NewMetrics(prometheus.NewRegistry())))
	defer srv.Close()
	resp, err := http.Post(srv.URL+"/v1/refresh", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || !strings.Contains(string(body), `"message":"no \"luck\""`) {
		t.Errorf("HTTP %d, %s", resp.StatusCode, body)
	}
}
