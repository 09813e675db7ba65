package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"irsa-sidecar/test/standin"
)

const (
	region      = "eu-west-1"
	sidecarRole = "arn:aws:iam::111122223333:role/sidecar"
	webRole     = "arn:aws:iam::111122223333:role/web-identity"
	nodeKey     = "ASIANODENODENODENODE"
	proxy       = "127.0.0.1:3128"
	metadata    = "169.254.169.254:80"
)

// stsNames returns the names at which SDKs look for STS: the region's, and the
// global one of older releases.
func stsNames() []string { return []string{"sts." + region + ".amazonaws.com", "sts.amazonaws.com"} }

// world is the outside of a pod: STS at its real names, the node's metadata
// service, and a proxy that leads nowhere.
type world struct {
	issuer  *standin.Issuer
	sts     atomic.Pointer[standin.STS] // of the case that is being tried
	volume  *standin.Volume
	bundle  string // the file of the CA that STS is certified by
	proxied atomic.Int64
}

func newWorld(dir string) (*world, error) {
	certificate, authority, err := certify(stsNames())
	if err != nil {
		return nil, err
	}
	if err := isolate(dir, authority); err != nil {
		return nil, fmt.Errorf("making the pod's surroundings: %w", err)
	}
	w := &world{
		issuer: standin.NewIssuer("https://oidc.eks." + region + ".amazonaws.com/id/EXAMPLE"),
		volume: standin.NewVolume(filepath.Join(dir, "serviceaccount")),
		bundle: filepath.Join(dir, "ca-certificates.crt"),
	}
	w.reset()
	sts := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.sts.Load().ServeHTTP(rw, r) })
	if err := serve("127.0.0.1:443", sts, certificate); err != nil {
		return nil, err
	}
	if err := serve(metadata, http.HandlerFunc(nodeMetadata), nil); err != nil {
		return nil, err
	}
	err = serve(proxy, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.proxied.Add(1)
		http.Error(rw, "this proxy leads nowhere", http.StatusForbidden)
	}), nil)
	return w, err
}

// reset makes an STS that knows nothing but two roles.
func (w *world) reset() *standin.STS {
	sts := standin.NewSTS(w.issuer)
	sts.AddRole(standin.Role{ARN: sidecarRole})
	sts.AddRole(standin.Role{ARN: webRole})
	w.sts.Store(sts)
	w.proxied.Store(0)
	return sts
}

// serve serves until the process ends.
func serve(address string, handler http.Handler, certificate *tls.Certificate) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if certificate != nil {
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS10})
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(ln)
	return nil
}

// nodeMetadata is what a pod should never come to: the EC2 metadata service,
// version 1 and 2, with the credentials of the node's role.
func nodeMetadata(w http.ResponseWriter, r *http.Request) {
	const list = "/latest/meta-data/iam/security-credentials/"
	now := time.Now().UTC()
	switch r.URL.Path {
	case "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		io.WriteString(w, "token")
	case list, strings.TrimSuffix(list, "/"):
		io.WriteString(w, "node")
	case list + "node":
		fmt.Fprintf(w, `{"Code":"Success","LastUpdated":%q,"Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":"node","Token":"node","Expiration":%q}`,
			now.Format(time.RFC3339), nodeKey, now.Add(6*time.Hour).Format(time.RFC3339))
	case "/latest/meta-data/placement/availability-zone/":
		io.WriteString(w, region+"a")
	default:
		http.NotFound(w, r)
	}
}

// certify returns a certificate for names, and that of the authority that has
// issued it, in PEM form. They are two: rustls refuses an authority's own
// certificate as a server's.
func certify(names []string) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.CreateCertificate(rand.Reader, server, authority, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), nil
}
