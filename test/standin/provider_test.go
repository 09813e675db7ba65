package standin_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"irsa-sidecar/test/standin"
)

// A provider's keys are those that its issuer currently publishes.
func TestProviderDiscoversKeys(t *testing.T) {
	var published atomic.Pointer[standin.Issuer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		published.Load().Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	issuer := standin.NewIssuer(server.URL)
	s := newService(t)
	s.SetIssuers()
	s.AddProvider(issuer.URL(), server.Client())

	rotated := issuer.WithNewKey()
	tests := []struct {
		name               string
		signer, publishing *standin.Issuer
		want               string
	}{
		{name: "published key", signer: issuer, publishing: issuer},
		{name: "key that is not published", signer: issuer, publishing: rotated, want: "InvalidIdentityToken"},
		{name: "rotated key", signer: rotated, publishing: rotated},
		{name: "discovery document of another issuer", signer: issuer, publishing: standin.NewIssuer("https://another.example"), want: "InvalidIdentityToken"},
		{name: "issuer without a provider", signer: standin.NewIssuer("https://another.example"), publishing: issuer, want: "InvalidIdentityToken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			published.Store(tt.publishing)
			s.issuer = tt.signer
			if _, err := s.retrieve(t.Context()); (err == nil) != (tt.want == "") || codeOf(err) != tt.want {
				t.Errorf("got %v, want code %q", err, tt.want)
			}
		})
	}
	server.Close()
	s.issuer = issuer
	if _, err := s.retrieve(t.Context()); codeOf(err) != "InvalidIdentityToken" {
		t.Errorf("unreachable issuer: %v, want InvalidIdentityToken", err)
	}
}
