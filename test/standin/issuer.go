package standin

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Generating a key takes tens of milliseconds, so issuers share one unless a test
// is about keys.
var sharedKey = sync.OnceValue(newKey)

// Issuer is an OIDC issuer of service-account tokens, like a Kubernetes API
// server. It is immutable and safe for concurrent use.
type Issuer struct {
	url string
	key jose.JSONWebKey
}

// NewIssuer returns an issuer whose tokens carry url as their iss claim. All
// issuers of a process share one key, except those of [Issuer.WithNewKey].
func NewIssuer(url string) *Issuer {
	return &Issuer{url: url, key: sharedKey()}
}

// WithNewKey returns an issuer with the same URL and a new key: an impostor, or
// the same cluster after its signing key was rotated.
func (i *Issuer) WithNewKey() *Issuer {
	return &Issuer{url: i.url, key: newKey()}
}

// URL returns the iss claim of the issuer's tokens.
func (i *Issuer) URL() string { return i.url }

// Claims describes a token. The zero value is a token of the service account app
// in the namespace default, for sts.amazonaws.com, issued now and valid for an
// hour.
type Claims struct {
	Namespace      string
	ServiceAccount string
	Audience       string
	IssuedAt       time.Time
	// Lifetime may be negative, for a token that has expired.
	Lifetime time.Duration
}

func (c Claims) withDefaults() Claims {
	c.Namespace = cmp.Or(c.Namespace, defaultNamespace)
	c.ServiceAccount = cmp.Or(c.ServiceAccount, defaultServiceAccount)
	c.Audience = cmp.Or(c.Audience, defaultAudience)
	c.Lifetime = cmp.Or(c.Lifetime, time.Hour)
	if c.IssuedAt.IsZero() {
		c.IssuedAt = time.Now()
	}
	return c
}

const (
	defaultNamespace      = "default"
	defaultServiceAccount = "app"
	defaultAudience       = "sts.amazonaws.com"
)

func subject(namespace, serviceAccount string) string {
	return "system:serviceaccount:" + namespace + ":" + serviceAccount
}

type object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type kubernetesClaims struct {
	Namespace      string `json:"namespace"`
	Node           object `json:"node"`
	Pod            object `json:"pod"`
	ServiceAccount object `json:"serviceaccount"`
}

// Token mints a token with the claims of a projected service-account token of
// Kubernetes 1.30 or later (pkg/serviceaccount/claims.go). No two calls return
// the same token.
func (i *Issuer) Token(claims Claims) string {
	c := claims.withDefaults()
	pod := c.ServiceAccount + "-6d4b75cb6d-hx2vk"
	token, err := jwt.Signed(i.signer()).Claims(jwt.Claims{
		Issuer:    i.url,
		Subject:   subject(c.Namespace, c.ServiceAccount),
		IssuedAt:  jwt.NewNumericDate(c.IssuedAt),
		NotBefore: jwt.NewNumericDate(c.IssuedAt),
		Expiry:    jwt.NewNumericDate(c.IssuedAt.Add(c.Lifetime)),
		ID:        uid(rand.Text()),
	}).Claims(map[string]any{
		// Not jwt.Claims.Audience, which encodes a single audience as a string.
		"aud": []string{c.Audience},
		"kubernetes.io": kubernetesClaims{
			Namespace:      c.Namespace,
			Node:           object{"ip-10-0-1-23.ec2.internal", uid("node")},
			Pod:            object{pod, uid(c.Namespace + "/" + pod)},
			ServiceAccount: object{c.ServiceAccount, uid(c.Namespace + "/" + c.ServiceAccount)},
		},
	}).Serialize()
	if err != nil {
		panic(fmt.Sprintf("minting a token: %v", err))
	}
	return token
}

func (i *Issuer) signer() jose.Signer {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key}, nil)
	if err != nil {
		panic(fmt.Sprintf("signing with %q: %v", i.key.KeyID, err))
	}
	return signer
}

// Handler serves the discovery document and the public key at the paths of an API
// server: /.well-known/openid-configuration and /openid/v1/jwks.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, "application/json", map[string]any{
			"issuer":                                i.url,
			"jwks_uri":                              strings.TrimSuffix(i.url, "/") + "/openid/v1/jwks",
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{string(jose.RS256)},
		})
	})
	mux.HandleFunc("GET /openid/v1/jwks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, "application/jwk-set+json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
	})
	return mux
}

func writeJSON(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	// An error here means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(v)
}

func newKey() jose.JSONWebKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("generating a key: %v", err))
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(fmt.Sprintf("encoding a public key: %v", err))
	}
	// Kubernetes derives the key id this way: pkg/serviceaccount/jwt.go.
	sum := sha256.Sum256(der)
	return jose.JSONWebKey{
		Key:       key,
		KeyID:     base64.RawURLEncoding.EncodeToString(sum[:]),
		Algorithm: string(jose.RS256),
		Use:       "sig",
	}
}

// uid returns a UUID that is the same for the same seed.
func uid(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
