package sts

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// TestRootCAsChange checks that a call trusts the root certificates that there are when it
// begins, and the last good ones if there are none.
func TestRootCAsChange(t *testing.T) {
	t.Parallel()
	sts := standin.NewSTS(issuer)
	sts.AddRole(standin.Role{ARN: role})
	srv := httptest.NewTLSServer(sts)
	defer srv.Close()
	good, other := x509.NewCertPool(), x509.NewCertPool()
	good.AddCert(srv.Certificate())
	pool, unreadable := other, error(nil)
	files := NewFiles(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	rootCAs := Reload(files, "AWS_CA_BUNDLE", other, func() (*x509.CertPool, error) { return pool, unreadable })
	client := New(Options{Endpoint: srv.URL, Transport: NewReloadedTransport(rootCAs)}, prometheus.NewRegistry())
	for _, step := range []struct {
		name       string
		pool       *x509.CertPool
		unreadable error
		want       string
	}{
		{"another CA", other, nil, "unknown authority"},
		{"the CA of the server", good, nil, ""},
		{"a bad file", nil, errors.New("the file holds no certificate in PEM form"), ""},
		{"another CA again", other, nil, "unknown authority"},
	} {
		pool, unreadable = step.pool, step.unreadable
		_, err := exchange(t.Context(), client, issuer.Token(standin.Claims{}))
		if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%s: got %v, want %q", step.name, err, step.want)
		}
	}
}
