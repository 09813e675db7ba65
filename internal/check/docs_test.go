package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"irsa-sidecar/test/golden"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// exampleIssuer is one of EKS.
const exampleIssuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"

// The example in the document is what is printed for a role whose trust policy names another
// service account.
func TestExampleInTheDocument(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	exampleToken(t, s)
	s.Why = "a role is set; --source (SIDECAR_SOURCE) would choose pod-identity"
	s.Metadata = "http://127.0.0.1:1"
	s.Reach = func(context.Context) (Reach, *Failure) {
		return Reach{Host: "sts.eu-west-1.amazonaws.com", Addresses: []netip.Addr{netip.MustParseAddr("10.0.42.17")}, Issuer: "Amazon", Date: now,
			DNS: 2 * time.Millisecond, Connect: time.Millisecond, TLS: 6 * time.Millisecond, Answer: 9 * time.Millisecond}, nil
	}
	s.Assume = func(context.Context, time.Duration) (aws.Credentials, *Failure) {
		return aws.Credentials{}, &Failure{Code: "AccessDenied", Kind: KindDenied, What: "Not authorized to perform sts:AssumeRoleWithWebIdentity (HTTP 403 from STS of region eu-west-1)"}
	}
	s.Endpoints[0].Ask = func(context.Context) error {
		return errors.New("AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	var b strings.Builder
	text := Text{W: &b}
	text.Begin(Calls(s))
	text.End(Run(t.Context(), s, text.Result))
	golden.Section(t, "../../docs/troubleshooting.md", "example of check", "```text\n"+b.String()+"```")
}

// exampleToken gives s a token of a cluster on EKS, and an issuer that has its key.
func exampleToken(t *testing.T, s *Setup) {
	t.Helper()
	const kid = "3ae1c2f0b1d94e6c8a57"
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k := jose.JSONWebKey{Key: private, KeyID: kid}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": exampleIssuer, "sub": "system:serviceaccount:shop:cart", "aud": []string{"sts.amazonaws.com"}, "jti": "7d5c1a4e-93b0-4a52-8f0e-2b6d7c1e9f11",
		"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(23 * time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "shop", "pod": map[string]string{"name": "cart-6d4b75cb6d-hx2vk"}, "node": map[string]string{"name": "ip-10-0-1-23.ec2.internal"}},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	s.TokenFile, s.ReadToken = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token", func() ([]byte, error) { return []byte(jwt), nil }
	s.SessionName, s.Role.Resource = "cart-6d4b75cb6d-hx2vk", "role/cart"
	s.Issuer = roundTripper(func(r *http.Request) (*http.Response, error) {
		var body any = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.Public()}}
		if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			body = map[string]string{"issuer": exampleIssuer, "jwks_uri": exampleIssuer + "/keys"}
		}
		text, err := json.Marshal(body)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(text))}, err
	})
}
