package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Claims are the claims of a token that STS compares with the trust policy of the role, with
// its OIDC provider and with its clock, and those that say whose it is. Nothing here is
// verified.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	Expiry    time.Time
	IssuedAt  time.Time
	NotBefore time.Time
	ID        string

	// Names, of Kubernetes.
	Namespace      string
	ServiceAccount string
	Pod            string
	Node           string
}

// Header is what a token says about its signature.
type Header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// ParseHeader decodes the header of a JWT (RFC 7515, section 4.1). Its errors never repeat
// any part of the token.
func ParseHeader(jwt []byte) (h Header, err error) {
	segment, _, _ := bytes.Cut(jwt, []byte("."))
	raw, err := decodeSegment(segment)
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return Header{}, errors.New("the header is not the JSON object of a JWT")
	}
	return h, nil
}

// maxDate is the last second that RFC 3339 can write.
const maxDate = 253402300799

// ParseClaims decodes the claims of a JWT (RFC 7519, section 4.1) without
// verifying anything; claims that are absent stay zero. Its errors say what is
// wrong and never repeat any part of the token.
func ParseClaims(jwt []byte) (Claims, error) {
	segments := bytes.Split(jwt, []byte("."))
	if len(segments) != 3 {
		return Claims{}, errors.New("token is not a JWT")
	}
	payload, err := decodeSegment(segments[1])
	if err != nil {
		return Claims{}, errors.New("claims are not base64url")
	}
	var c claimSet
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claims{}, errors.New("claims are not the JSON object of a JWT")
	}
	k := c.Kubernetes
	claims := Claims{Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ID: c.ID,
		Namespace: k.Namespace, ServiceAccount: k.Account.Name, Pod: k.Pod.Name, Node: k.Node.Name}
	for _, date := range []struct {
		name   string
		number json.Number
		to     *time.Time
	}{{"exp", c.Expiry, &claims.Expiry}, {"iat", c.IssuedAt, &claims.IssuedAt}, {"nbf", c.NotBefore, &claims.NotBefore}} {
		if date.number == "" {
			continue
		}
		seconds, err := date.number.Float64()
		if err != nil || seconds < 0 || seconds > maxDate {
			return Claims{}, fmt.Errorf("claim %s is not a time", date.name)
		}
		*date.to = time.Unix(int64(seconds), 0)
	}
	return claims, nil
}

// claimSet are the claims as they are in a token.
type claimSet struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	Audience  audience    `json:"aud"`
	Expiry    json.Number `json:"exp"`
	IssuedAt  json.Number `json:"iat"`
	NotBefore json.Number `json:"nbf"`
	ID        string      `json:"jti"`

	// https://github.com/kubernetes/kubernetes/blob/master/pkg/serviceaccount/claims.go
	Kubernetes struct {
		Namespace string
		Pod       named
		Node      named
		Account   named `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// named is an object of Kubernetes.
type named struct{ Name string }

// audience is a claim that may be one string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}
