package token

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// withPayload returns a JWT with this payload and a dummy header and signature.
func withPayload(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestParseClaims(t *testing.T) {
	issued := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		jwt  string
		want Claims
		err  string
	}{
		{
			name: "a token of the kubelet",
			jwt: standin.NewIssuer("https://issuer.example").Token(standin.Claims{
				Namespace: "shop", ServiceAccount: "cart", IssuedAt: issued, Lifetime: time.Hour}),
			want: Claims{
				Issuer:   "https://issuer.example",
				Subject:  "system:serviceaccount:shop:cart",
				Audience: []string{"sts.amazonaws.com"},
				Expiry:   issued.Add(time.Hour).Local(), IssuedAt: issued.Local(), NotBefore: issued.Local(),
				ID:        "fixed",
				Namespace: "shop", ServiceAccount: "cart", Pod: "cart-6d4b75cb6d-hx2vk",
				Node: "ip-10-0-1-23.ec2.internal",
			},
		},
		{name: "jti and node", jwt: withPayload(`{"jti":"a-b","kubernetes.io":{"namespace":"x","node":{"name":"n","uid":"u"}}}`), want: Claims{ID: "a-b", Namespace: "x", Node: "n"}},
		{name: "audience is one string", jwt: withPayload(`{"aud":"x"}`), want: Claims{Audience: []string{"x"}}},
		{name: "fraction of a second", jwt: withPayload(`{"exp":10.9}`), want: Claims{Expiry: time.Unix(10, 0)}},
		{name: "no claims", jwt: withPayload(`{}`), want: Claims{}},
		{name: "not JSON", jwt: withPayload(`secret`), err: "claims are not the JSON object of a JWT"},
		{name: "subject of another type", jwt: withPayload(`{"sub":7}`), err: "claims are not the JSON object of a JWT"},
		{name: "audience of another type", jwt: withPayload(`{"aud":{"a":"b"}}`), err: "claims are not the JSON object of a JWT"},
		{name: "expiry too large", jwt: withPayload(`{"exp":1e300}`), err: "claim exp is not a time"},
		{name: "expiry negative", jwt: withPayload(`{"exp":-1}`), err: "claim exp is not a time"},
		{name: "iat is no time", jwt: withPayload(`{"iat":-1}`), err: "claim iat is not a time"},
		{name: "nbf is no time", jwt: withPayload(`{"nbf":1e300}`), err: "claim nbf is not a time"},
		{name: "not base64url", jwt: "e30.!!!.c2ln", err: "claims are not base64url"},
		{name: "not a JWT", jwt: "secret", err: "token is not a JWT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseClaims([]byte(tt.jwt))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("got %v, %v, want error %q", got, err, tt.err)
				}
				return
			}
			if tt.want.ID == "fixed" && len(got.ID) == 36 {
				got.ID = "fixed" // it is random
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(standin.NewIssuer("https://issuer.example").Token(standin.Claims{})))
	f.Add([]byte(withPayload(`{"aud":["a",1],"exp":"7"}`)))
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, jwt []byte) {
		c, err := ParseClaims(jwt)
		if err != nil {
			if strings.Contains(err.Error(), string(jwt)) && len(jwt) > 5 {
				t.Errorf("error %q repeats the token", err)
			}
			return
		}
		if !c.Expiry.IsZero() && (c.Expiry.Unix() < 0 || c.Expiry.UTC().Year() > 9999) {
			t.Errorf("expiry %v cannot be formatted", c.Expiry)
		}
	})
}

func TestParseHeader(t *testing.T) {
	h, err := ParseHeader([]byte(standin.NewIssuer("https://issuer.example").Token(standin.Claims{})))
	if err != nil || h.Algorithm != "RS256" || len(h.KeyID) != 43 {
		t.Errorf("got %+v, %v", h, err)
	}
	for _, jwt := range []string{"", "secret", "e30", "c2VjcmV0.e30.c2ln", "!!!.e30.c2ln"} {
		if h, err := ParseHeader([]byte(jwt)); h != (Header{}) || (err == nil) != (jwt == "e30") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %+v, %v", jwt, h, err)
		}
	}
}
