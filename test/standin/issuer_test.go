package standin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"irsa-sidecar/test/standin"
)

func TestToken(t *testing.T) {
	issuer := standin.NewIssuer(issuerURL)
	c := standin.Claims{IssuedAt: time.Unix(1731091640, 0)}
	token := issuer.Token(c)
	if token == issuer.Token(c) {
		t.Error("two calls returned the same token")
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if _, ok := claims["aud"].([]any); !ok || claims["sub"] != "system:serviceaccount:default:app" || claims["exp"] != 1731095240.0 {
		t.Errorf("got %v", claims)
	}
	kubernetes, _ := claims["kubernetes.io"].(map[string]any)
	for _, name := range []string{"namespace", "node", "pod", "serviceaccount"} {
		if kubernetes[name] == nil {
			t.Errorf("no %s in kubernetes.io: %v", name, kubernetes)
		}
	}
}

// A verifier that starts from the discovery document must accept tokens.
func TestDiscovery(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	issuer := standin.NewIssuer(server.URL)
	mux.Handle("/", issuer.Handler())

	var discovery struct {
		Issuer  string
		JWKSURI string `json:"jwks_uri"`
	}
	getJSON(t, server.URL+"/.well-known/openid-configuration", &discovery)
	if discovery.Issuer != issuer.URL() {
		t.Errorf("issuer %q, want %q", discovery.Issuer, issuer.URL())
	}
	var keys jose.JSONWebKeySet
	getJSON(t, discovery.JWKSURI, &keys)
	for _, key := range keys.Keys {
		if !key.IsPublic() {
			t.Fatal("a private key is published")
		}
	}
	for _, tt := range []struct {
		name   string
		issuer *standin.Issuer
		want   bool
	}{
		{"own key", issuer, true},
		{"new key", issuer.WithNewKey(), false},
	} {
		parsed, err := jwt.ParseSigned(tt.issuer.Token(standin.Claims{}), []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Claims(keys, &jwt.Claims{}); (err == nil) != tt.want {
			t.Errorf("%s: verifying: %v, want success %t", tt.name, err, tt.want)
		}
	}
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}
