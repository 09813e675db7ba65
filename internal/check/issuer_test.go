package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"irsa-sidecar/internal/token"
	"irsa-sidecar/test/standin"
)

var agentClaims = standin.Claims{Audience: "pods.eks.amazonaws.com", IssuedAt: now}

func newToken(t *testing.T) string {
	issuer, _ := newIssuer(t)
	return issuer.Token(standin.Claims{IssuedAt: now})
}

// What an issuer publishes is compared with the token. Nothing there fails: STS sees it from
// elsewhere.
func TestIssuer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(issuer *standin.Issuer, s *Setup, w http.ResponseWriter, r *http.Request) (handled bool)
		want   string
	}{
		{"good", func(*standin.Issuer, *Setup, http.ResponseWriter, *http.Request) bool { return false }, "ok issuer https://127.0.0.1:"},
		{"another name", func(i *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			standin.NewIssuer(i.URL()+"/").Handler().ServeHTTP(w, r)
			return true
		}, "warn issuer the discovery document names the issuer"},
		{"other keys", func(i *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			i.WithNewKey().Handler().ServeHTTP(w, r)
			return true
		}, "warn issuer the issuer's keys have none with the token's kid"},
		{"the same kid with another key", func(i *standin.Issuer, s *Setup, w http.ResponseWriter, r *http.Request) bool {
			raw, _ := s.ReadToken()
			header, _ := token.ParseHeader(raw)
			answer := httptest.NewRecorder()
			other := i.WithNewKey()
			otherHeader, _ := token.ParseHeader([]byte(other.Token(standin.Claims{})))
			other.Handler().ServeHTTP(answer, r)
			w.Write([]byte(strings.ReplaceAll(answer.Body.String(), otherHeader.KeyID, header.KeyID)))
			return true
		}, "warn issuer the issuer's key"},
		{"not found", func(_ *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		}, "warn issuer https://127.0.0.1:"},
		{"redirect", func(_ *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/elsewhere" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		}, "warn issuer https://127.0.0.1:"},
		{"not JSON", func(_ *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			w.Write([]byte("<html>canary"))
			return true
		}, "warn issuer https://127.0.0.1:"},
		{"without end", func(_ *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					break
				}
			}
			return true
		}, "warn issuer https://127.0.0.1:"},
		{"keys without TLS", func(i *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			w.Write([]byte(`{"issuer":"` + i.URL() + `","jwks_uri":"http://127.0.0.1:1/latest/"}`))
			return true
		}, "warn issuer the jwks_uri of the discovery document is not an https URL"},
		{"connection reset", func(_ *standin.Issuer, _ *Setup, w http.ResponseWriter, r *http.Request) bool {
			panic(http.ErrAbortHandler)
		}, "skip issuer the issuer is not in reach from here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := healthy(t)
			var issuer *standin.Issuer
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !tt.change(issuer, s, w, r) {
					issuer.Handler().ServeHTTP(w, r)
				}
			}))
			t.Cleanup(srv.Close)
			issuer = standin.NewIssuer(srv.URL)
			s.Issuer = srv.Client().Transport
			s.holds(t, issuer.Token(standin.Claims{IssuedAt: now}))
			if r := of(t, s, "issuer"); !strings.HasPrefix(r.all(), tt.want) || strings.Contains(r.all(), "canary") {
				t.Errorf("got %s", r.all())
			}
		})
	}
}

// An issuer that is not in reach proves nothing, and one without TLS is not asked.
func TestIssuerElsewhere(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	for url, want := range map[string]string{
		"https://127.0.0.1:1":           "skip issuer the issuer is not in reach from here (dial tcp 127.0.0.1:1: connect: connection refused); STS fetches its keys from AWS, not from the pod",
		"http://127.0.0.1:1/latest/":    "warn issuer the token's issuer is not an https URL",
		"https://user:canary@127.0.0.1": "warn issuer the token's issuer is not an https URL",
		"file:///etc/passwd":            "warn issuer the token's issuer is not an https URL",
	} {
		s.holds(t, standin.NewIssuer(url).Token(standin.Claims{IssuedAt: now}))
		if r := of(t, s, "issuer"); !strings.HasPrefix(r.all(), want) {
			t.Errorf("got %s", r.all())
		}
	}
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	s.holds(t, standin.NewIssuer(srv.URL).Token(standin.Claims{IssuedAt: now}))
	s.Issuer = http.DefaultTransport
	if r := of(t, s, "issuer"); !strings.HasPrefix(r.all(), "skip issuer the issuer is not in reach from here (its certificate is not trusted here)") {
		t.Errorf("got %s", r.all())
	}
}

// Signatures of every algorithm that STS accepts are verified, and no others.
func TestVerify(t *testing.T) {
	t.Parallel()
	for algorithm, curve := range map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jwt.Signed(signer).Claims(jwt.Claims{Subject: "s", Expiry: jwt.NewNumericDate(now.Add(time.Hour))}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		public := publicKey(t, jose.JSONWebKey{Key: private.Public(), KeyID: "k"})
		if err := public.verify(string(algorithm), []byte(raw)); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if problem := signatureProblem(string(algorithm), []byte(raw)); problem != "" {
			t.Errorf("%s: %s", algorithm, problem)
		}
		if public.verify(string(algorithm), []byte(strings.Replace(raw, "e", "f", 1))) == nil {
			t.Errorf("%s: a changed token is accepted", algorithm)
		}
		for _, broken := range []key{{}, {Type: "EC"}, {Type: "EC", Curve: public.Curve, X: public.Y, Y: public.Y}, {Type: "RSA", N: "AQAB", E: "AQAB"}, {Type: "RSA", N: strings.Repeat("A", 4000), E: "AQAB"}, {Type: "RSA"}} {
			if broken.verify(string(algorithm), []byte(raw)) == nil || broken.verify("RS256", []byte(raw)) == nil {
				t.Errorf("%s is accepted with %v", algorithm, broken)
			}
		}
	}
	issuer := standin.NewIssuer("https://issuer.example")
	raw := issuer.Token(standin.Claims{})
	answer := httptest.NewRecorder()
	issuer.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/openid/v1/jwks", nil))
	var set struct{ Keys []key }
	decode(t, answer.Body.Bytes(), &set)
	for _, algorithm := range []string{"RS384", "RS512", "ES256", "HS256", "none", "", "RS999"} {
		if set.Keys[0].verify(algorithm, []byte(raw)) == nil {
			t.Errorf("%s is accepted", algorithm)
		}
	}
	if err := set.Keys[0].verify("RS256", []byte(raw)); err != nil {
		t.Error(err)
	}
}

// publicKey returns a key as an issuer publishes it.
func publicKey(t *testing.T, k jose.JSONWebKey) (public key) {
	t.Helper()
	text, err := k.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	decode(t, text, &public)
	return public
}
