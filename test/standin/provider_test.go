package standin_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"irsa-sidecar/test/standin"
)

// The keys of a provider are those that its issuer publishes at the moment.
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
		{name: "its key", signer: issuer, publishing: issuer},
		{name: "another key than published", signer: issuer, publishing: rotated, want: "InvalidIdentityToken"},
		{name: "the key after a rotation", signer: rotated, publishing: rotated},
		{name: "a document of another issuer", signer: issuer, publishing: standin.NewIssuer("https://another.example"), want: "InvalidIdentityToken"},
		{name: "an issuer without a provider", signer: standin.NewIssuer("https://another.example"), publishing: issuer, want: "InvalidIdentityToken"},
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
		t.Errorf("an issuer that cannot be reached: %v, want InvalidIdentityToken", err)
	}
}
