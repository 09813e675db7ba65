package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Claims are the four claims of a token that STS compares with the trust policy of the
// role and with its OIDC provider, and two that join CloudTrail with the audit log of the
// cluster. Nothing here is verified.
type Claims struct {
	Issuer   string
	Subject  string
	Audience []string
	Expiry   time.Time
	ID       string
	Node     string // the name of the pod's node
}

// maxExpiry is the last second that RFC 3339 can write.
const maxExpiry = 253402300799

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
	var c struct {
		Issuer   string      `json:"iss"`
		Subject  string      `json:"sub"`
		Audience audience    `json:"aud"`
		Expiry   json.Number `json:"exp"`
		ID       string      `json:"jti"`

		// https://github.com/kubernetes/kubernetes/blob/master/pkg/serviceaccount/claims.go
		Kubernetes struct{ Node struct{ Name string } } `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claims{}, errors.New("claims are not the JSON object of a JWT")
	}
	claims := Claims{Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ID: c.ID, Node: c.Kubernetes.Node.Name}
	if c.Expiry != "" {
		exp, err := c.Expiry.Float64()
		if err != nil || exp < 0 || exp > maxExpiry {
			return Claims{}, fmt.Errorf("claim exp is not a time")
		}
		claims.Expiry = time.Unix(int64(exp), 0)
	}
	return claims, nil
}

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
