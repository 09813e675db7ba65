package main

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
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
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
	nodeToken   = "node"
	proxy       = "127.0.0.1:3128"
)

// stsNames returns the host names that SDKs use for STS: the regional one, and the
// global one, which older releases use.
func stsNames() []string { return []string{"sts." + region + ".amazonaws.com", "sts.amazonaws.com"} }

// storeNames returns the names of the other services that programs use: S3 with a bucket
// named bucket, ECR and SQS.
func storeNames() []string {
	return []string{
		"s3." + region + ".amazonaws.com", "s3-" + region + ".amazonaws.com", "s3.amazonaws.com",
		"bucket.s3." + region + ".amazonaws.com", "bucket.s3-" + region + ".amazonaws.com", "bucket.s3.amazonaws.com",
		"api.ecr." + region + ".amazonaws.com", "sqs." + region + ".amazonaws.com", region + ".queue.amazonaws.com",
	}
}

// world is the environment of a pod: STS and S3 at their real names, the node's metadata
// service and EKS Pod Identity agent, and a proxy that rejects every request.
type world struct {
	issuer  *standin.Issuer
	sts     atomic.Pointer[standin.STS]   // the STS of the current case
	agent   atomic.Pointer[standin.Agent] // its agent, which has a role for the pod
	volume  *standin.Volume
	pods    *standin.Volume // with a token for the agent
	bundle  string          // the CA bundle file that STS's certificate verifies against
	s3      *store
	proxied atomic.Int64
	tap     *tap  // nil: requests are not recorded
	liar    *liar // nil: the sidecar is right
	fault   fault
}

func newWorld(dir string, j job) (*world, error) {
	certificate, authority, err := certify(slices.Concat(stsNames(), storeNames()))
	if err != nil {
		return nil, err
	}
	if err := isolate(dir, authority); err != nil {
		return nil, fmt.Errorf("setting up the pod's namespaces: %w", err)
	}
	w := &world{
		issuer: standin.NewIssuer("https://oidc.eks." + region + ".amazonaws.com/id/EXAMPLE"),
		volume: standin.NewVolume(filepath.Join(dir, "serviceaccount")),
		pods:   standin.NewVolume(filepath.Join(dir, "pod-identity")),
		bundle: filepath.Join(dir, "ca-certificates.crt"),
	}
	w.s3 = newStore(storeServer, func() []standin.Credentials { return w.sts.Load().Credentials() })
	w.reset()
	aws := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if host, _, _ := strings.Cut(r.Host, ":"); slices.Contains(stsNames(), host) {
			w.sts.Load().ServeHTTP(rw, withBody(r))
			return
		}
		w.s3.ServeHTTP(rw, r)
	})
	node, err := connectNode()
	if err != nil {
		return nil, fmt.Errorf("setting up the node: %w", err)
	}
	serve(node[0], http.HandlerFunc(nodeMetadata))
	serve(node[1], http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.agent.Load().ServeHTTP(rw, r) }))
	if err := w.putBetween(j); err != nil {
		return nil, err
	}
	deadEnd := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.proxied.Add(1)
		http.Error(rw, "this proxy rejects every request", http.StatusForbidden)
	})
	return w, errors.Join(
		listen("127.0.0.1:443", aws, certificate),
		listen("127.0.0.1:5000", w.s3, nil),
		listen(proxy, deadEnd, nil),
	)
}

// reset replaces the STS with a new one that has only two roles, and the agent.
func (w *world) reset() *standin.STS {
	sts := standin.NewSTS(w.issuer)
	sts.AddRole(standin.Role{ARN: sidecarRole})
	sts.AddRole(standin.Role{ARN: webRole})
	w.sts.Store(sts)
	w.agent.Store(standin.NewAgent(w.issuer, sts, sidecarRole))
	w.s3.reset()
	if w.liar != nil {
		w.liar.spoil.Store(new(w.fault.begin()))
	}
	w.proxied.Store(0)
	return sts
}

// withBody returns a request to STS with its parameters in the body, which is all that the
// stand-in takes. AWS takes them in the query too, as fog-aws and minio-java send them.
func withBody(r *http.Request) *http.Request {
	query := r.URL.RawQuery
	if query == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Method, r.URL.RawQuery, r.RequestURI = http.MethodPost, "", r.URL.Path
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(query)), int64(len(query))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// putBetween puts what is between the clients and the sidecar at the addresses that the pod
// always has.
func (w *world) putBetween(j job) error {
	if j.Record {
		w.tap = new(tap)
	}
	if i := slices.IndexFunc(faults(), func(f fault) bool { return f.name == j.Fault }); i >= 0 {
		w.liar, w.fault = new(liar), faults()[i]
	}
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		if _, err := w.between("container", host+":9911", host+tappedLoopback); err != nil {
			return err
		}
	}
	return nil
}

// isBetween reports whether there is anything between the clients and the sidecar.
func (w *world) isBetween() bool { return w.tap != nil || w.liar != nil }

// between listens at an address of an endpoint with what is between the clients and the
// sidecar there, which is at target. If nothing is, it returns nil.
func (w *world) between(endpoint, address, target string) (net.Listener, error) {
	switch {
	case w.tap != nil:
		return w.tap.listen(endpoint, address, target)
	case w.liar != nil:
		return w.liar.listen(address, target)
	}
	return nil, nil
}

func listen(address string, handler http.Handler, certificate *tls.Certificate) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if certificate != nil {
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS10})
	}
	serve(ln, handler)
	return nil
}

// serve serves until the process exits.
func serve(ln net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(ln)
}

// certify returns a server certificate for names, and in PEM form the CA certificate
// that it was issued under. They are separate because rustls rejects a CA certificate
// as a server certificate.
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
