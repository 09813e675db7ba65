package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

// userIs returns Clients that let these users ask, where every client is uid.
func userIs(uid uint32, err error, allowed ...uint32) Clients {
	return Clients{Allowed: allowed, UID: func(context.Context) (uint32, error) { return uid, err }}
}

// P6: at both kinds of endpoint, only users that are allowed get an answer; a client that
// is not known is none of them. Who is refused learns nothing else.
func TestClients(t *testing.T) {
	t.Parallel()
	unknown := errors.New("there is no such socket")
	tests := []struct {
		name    string
		clients Clients
		says    string // empty: it is answered
	}{
		{"everybody", Clients{}, ""},
		{"everybody, with user ids", userIs(1000, nil), ""},
		{"everybody, also who is not known", userIs(0, unknown), ""},
		{"an allowed user", userIs(1000, nil, 1000), ""},
		{"one of several", userIs(1001, nil, 1000, 1001, 9911), ""},
		{"root, if allowed", userIs(0, nil, 0), ""},
		{"another user", userIs(1001, nil, 1000), "user id 1001 may not"},
		{"root", userIs(0, nil, 1000), "user id 0 may not"},
		{"a user id that begins like an allowed one", userIs(100, nil, 1000), "user id 100 may not"},
		{"who is not known", userIs(0, unknown, 1000), "no such socket"},
		{"who is not known, where root is allowed", userIs(0, unknown, 0), "no such socket"},
		{"who is not known, with the id of an allowed user", userIs(1000, unknown, 1000), "no such socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, metrics := slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())
			container := serve(t, NewContainerEndpoint(ContainerGuard{Path: testPath}, tt.clients, ContainerCredentials(testRole), always(sample()), log, metrics))
			instance := serve(t, NewInstanceEndpoint(Instance{Role: testRole, V1: true}, tt.clients, always(sample()), log, metrics))
			requests := []struct{ addr, request string }{
				{container, "GET /v1/credentials HTTP/1.1\nHost: localhost"},
				{container, "HEAD /v1/credentials HTTP/1.1\nHost: localhost"},
				{instance, "GET /latest/meta-data/iam/security-credentials/app HTTP/1.1\nHost: localhost"},
				{instance, "PUT /latest/api/token HTTP/1.1\nHost: localhost\nContent-Length: 0\nX-aws-ec2-metadata-token-ttl-seconds: 60"},
			}
			for _, r := range requests {
				got := rawhttp.Exchange(t, r.addr, r.request)
				switch {
				case tt.says == "" && got.Status != 200:
					t.Errorf("%s: got %d %s", r.request, got.Status, got.Body)
				case tt.says != "" && (got.Status != 403 || got.Header.Get("Connection") != "close"):
					t.Errorf("%s: got %d %v", r.request, got.Status, got.Header)
				case tt.says != "" && !strings.HasPrefix(r.request, "HEAD") && !(strings.Contains(got.Body, "UserNotAllowed") && strings.Contains(got.Body, tt.says)):
					t.Errorf("%s: got %s", r.request, got.Body)
				}
			}
			want := 0
			if tt.says != "" {
				want = len(requests)
				for _, request := range []string{"GET /nothing HTTP/1.1\nHost: localhost", "GET / HTTP/1.1\nHost: evil.example", "POST /v1/credentials HTTP/1.1\nHost: localhost\nVia: x"} {
					if got := rawhttp.Exchange(t, container, request); got.Status != 403 || !strings.Contains(got.Body, "UserNotAllowed") {
						t.Errorf("%s: got %d %s", request, got.Status, got.Body)
					}
					want++
				}
			}
			if got := count(metrics.refused.WithLabelValues("uid")); got != want {
				t.Errorf("%d requests refused for uid, want %d", got, want)
			}
		})
	}
}
