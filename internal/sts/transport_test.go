package sts

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// newTLSStandin returns a stand-in for STS whose answers have one more header, and a
// transport that trusts it as AWS_CA_BUNDLE would.
func newTLSStandin(t *testing.T, header string, change func(*httptest.Server)) (*standin.STS, *httptest.Server, *http.Transport) {
	t.Helper()
	sts := standin.NewSTS(issuer)
	sts.AddRole(standin.Role{ARN: role})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-More", header)
		sts.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = new(tls.Config)
	change(srv)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return sts, srv, NewTransport(roots)
}

func TestTransport(t *testing.T) {
	t.Parallel()
	http1 := func(*httptest.Server) {}
	http2 := func(srv *httptest.Server) { srv.EnableHTTP2 = true }
	upTo := func(version uint16) func(*httptest.Server) {
		return func(srv *httptest.Server) { srv.TLS.MinVersion, srv.TLS.MaxVersion = tls.VersionTLS10, version }
	}
	tests := []struct {
		name   string
		header string
		change func(*httptest.Server)
		fails  bool
	}{
		{name: "HTTP/1", header: "a", change: http1},
		{name: "HTTP/2", header: "a", change: http2},
		{name: "TLS 1.0", header: "a", change: upTo(tls.VersionTLS10), fails: true},
		{name: "TLS 1.1", header: "a", change: upTo(tls.VersionTLS11), fails: true},
		{name: "TLS 1.2", header: "a", change: upTo(tls.VersionTLS12)},
		{name: "headers of 96 KiB", header: strings.Repeat("a", 96<<10), change: http1, fails: true},
		{name: "headers of 96 KiB with HTTP/2", header: strings.Repeat("a", 96<<10), change: http2, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sts, srv, transport := newTLSStandin(t, tt.header, tt.change)
			got, err := exchange(t.Context(), New(Options{Endpoint: srv.URL, Transport: transport}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
			if !tt.fails {
				if err != nil || got.AccessKeyID != sts.Credentials()[0].AccessKeyID {
					t.Errorf("got %v, %v", got.AccessKeyID, err)
				}
				return
			}
			if err == nil || explained(t, err).code != codeNetwork {
				t.Errorf("got %v, want a failure of the connection", err)
			}
		})
	}
}
