package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

const (
	// The authority outlives any cluster: a new one would have to reach the API server and all
	// replicas at the same moment. To replace it, delete the Secret with all pods stopped.
	authorityLifetime = 100 * 365 * 24 * time.Hour
	leafLifetime      = 365 * 24 * time.Hour
	// Clocks of API servers may be behind this one.
	clockSkew = time.Hour
)

// The keys of the Secret.
const (
	authorityCert = "ca.crt"
	authorityKey  = "ca.key"
	leafCert      = "tls.crt"
	leafKey       = "tls.key"
)

// pair is an authority and a certificate that it has issued, as in the Secret.
type pair struct {
	data      map[string][]byte
	authority tls.Certificate
	leaf      tls.Certificate
}

// parse returns an error if the Secret's data are incomplete, or not for that host, and with
// it the pair if its authority can be used.
func parse(data map[string][]byte, host string, now time.Time) (*pair, error) {
	p := &pair{data: data}
	var err error
	if p.authority, err = tls.X509KeyPair(data[authorityCert], data[authorityKey]); err != nil {
		return nil, fmt.Errorf("%s: %w", authorityCert, err)
	}
	if err := withLeaf(&p.authority); err != nil {
		return nil, err
	}
	if !p.authority.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not of an authority", authorityCert)
	}
	if p.leaf, err = tls.X509KeyPair(data[leafCert], data[leafKey]); err != nil {
		return p, fmt.Errorf("%s: %w", leafCert, err)
	}
	if err := withLeaf(&p.leaf); err != nil {
		return p, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.authority.Leaf)
	_, err = p.leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
	return p, err
}

// due reports whether two thirds of the certificate's life are over.
func (p *pair) due(now time.Time) bool {
	life := p.leaf.Leaf.NotAfter.Sub(p.leaf.Leaf.NotBefore)
	return now.After(p.leaf.Leaf.NotBefore.Add(life * 2 / 3))
}

// newPair returns a new authority with a certificate for host.
func newPair(host string, now time.Time) (*pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "irsa-sidecar-injector"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, key, err := issue(template, nil)
	if err != nil {
		return nil, err
	}
	return renew(map[string][]byte{authorityCert: cert, authorityKey: key}, host, now)
}

// renew returns the same authority with a new certificate.
func renew(data map[string][]byte, host string, now time.Time) (*pair, error) {
	authority, err := tls.X509KeyPair(data[authorityCert], data[authorityKey])
	if err != nil {
		return nil, err
	}
	if err := withLeaf(&authority); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: host},
		DNSNames:    []string{host},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, key, err := issue(template, &authority)
	if err != nil {
		return nil, err
	}
	return parse(map[string][]byte{
		authorityCert: data[authorityCert], authorityKey: data[authorityKey], leafCert: cert, leafKey: key,
	}, host, now)
}

// issue returns a certificate and its key as PEM. Without an issuer it signs itself.
func issue(template *x509.Certificate, issuer *tls.Certificate) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	parent, signer := template, any(private)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, certErr := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	keyDER, keyErr := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), errors.Join(certErr, keyErr)
}
