package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"irsa-sidecar/test/standin"
)

const (
	role   = "arn:aws:iam::111122223333:role/benchmark"
	issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"

	tokenName = "token"

	// answerDelay is how long STS takes to answer: typical within a region.
	answerDelay = 100 * time.Millisecond
)

// stsServer serves the stand-in over TLS.
type stsServer struct {
	*http.Server
	standin *standin.STS
	issuer  *standin.Issuer
	volume  *standin.Volume
	env     []string // for a sidecar that uses it
}

// startSTS serves an STS with a certificate from its own CA. To dir it writes the
// sidecar's token and, as in the image, a single bundle file with the public roots
// and that CA.
func startSTS(dir, roots string) (*stsServer, error) {
	bundle, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	certificate, ca, err := newCertificate()
	if err != nil {
		return nil, err
	}
	bundleFile := filepath.Join(dir, "ca-certificates.crt")
	if err := os.WriteFile(bundleFile, slices.Concat(bundle, []byte("\n"), ca), 0o644); err != nil {
		return nil, err
	}
	issuer := standin.NewIssuer(issuer)
	sts := standin.NewSTS(issuer)
	sts.AddRole(standin.Role{ARN: role})
	sts.Always(delayed)
	volume := standin.NewVolume(filepath.Join(dir, "serviceaccount"))
	if err := volume.Publish(tokenName, issuer.Token(standin.Claims{})); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:   sts,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		ErrorLog:  log.New(io.Discard, "", 0), // the sidecar logs what went wrong
	}
	go server.ServeTLS(ln, "", "")
	return &stsServer{server, sts, issuer, volume, []string{
		"AWS_ENDPOINT_URL_STS=https://" + ln.Addr().String(),
		"AWS_REGION=eu-west-1",
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + volume.Path(tokenName),
		"SSL_CERT_FILE=" + bundleFile,
		"SSL_CERT_DIR=/nonexistent",
	}}, nil
}

// rotate publishes a new token every period until ctx is done.
func (s *stsServer) rotate(ctx context.Context, period time.Duration) error {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for wait(ctx, tick.C) == nil {
		if err := s.volume.Publish(tokenName, s.issuer.Token(standin.Claims{})); err != nil {
			return err
		}
	}
	return nil
}

// grants returns the times at which STS granted credentials.
func (s *stsServer) grants() []time.Time {
	var times []time.Time
	for _, r := range s.standin.Requests() {
		if r.Outcome == "" {
			times = append(times, r.Time.Add(answerDelay))
		}
	}
	return times
}

// expiration checks an answer of the sidecar and returns its expiration.
func (s *stsServer) expiration(body []byte) (time.Time, error) {
	return issuedExpiration(body, s.standin.Credentials())
}

// delayed is a standin.Fault.
func delayed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(answerDelay)
		next.ServeHTTP(w, r)
	})
}

// newCertificate returns a certificate for 127.0.0.1 and, as PEM, the certificate
// of the CA that signed it.
func newCertificate() (certificate tls.Certificate, ca []byte, err error) {
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "irsa-sidecar test/benchmark"},
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	// RSA, like AWS's keys.
	caKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	key, err2 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2); err != nil {
		return certificate, nil, err
	}
	caDER, err1 := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	leafDER, err2 := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	certificate = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), errors.Join(err1, err2)
}
