package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// A name that does not resolve is like any other outage of STS: P1, P4, P7.
func TestFaultDNS(t *testing.T) {
	var hosts string
	outage{
		setup: setup{enter: inNamespaces, reason: "network", before: func(f *fault) {
			bind(t, "/etc/resolv.conf", "nameserver 127.0.0.1\n") // nothing listens there
			hosts = bind(t, "/etc/hosts", "")
			_, port, _ := net.SplitHostPort(f.w.srv.Listener.Addr().String())
			f.environment = []string{"AWS_ENDPOINT_URL_STS=http://sts.example:" + port}
		}},
		begin: func(*world) { write(t, hosts, "") },
		end:   func(*world) { write(t, hosts, "127.0.0.1 sts.example\n") },
	}.test(t)
}

// A certificate that cannot be trusted is like any other outage of STS: P1, P4, P7.
func TestFaultTLS(t *testing.T) {
	t.Parallel()
	known, unknown := newAuthority(t), newAuthority(t)
	day := 24 * time.Hour
	tests := []struct {
		name string
		bad  *tls.Certificate
	}{
		{"unknown authority", unknown.issue(t, "localhost", day)},
		{"expired", known.issue(t, "localhost", -day)},
		{"wrong name", known.issue(t, "elsewhere.example", day)},
	}
	good := known.issue(t, "localhost", day)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var shown atomic.Pointer[tls.Certificate]
			outage{
				setup: setup{reason: "network", before: func(f *fault) {
					f.environment = []string{"AWS_ENDPOINT_URL_STS=" + serveTLS(t, f.w, &shown), "AWS_CA_BUNDLE=" + known.bundle}
				}},
				begin: func(*world) { shown.Store(tt.bad) },
				end:   func(*world) { shown.Store(good) },
			}.test(t)
		})
	}
}

// A proxy that does not listen is like any other outage of STS: P1, P4, P7.
func TestFaultProxy(t *testing.T) {
	var proxy net.Listener
	outage{
		// In a network namespace no other test can take the port of the proxy meanwhile.
		setup: setup{enter: inNamespaces, reason: "network", before: func(f *fault) {
			authority := newAuthority(t)
			var shown atomic.Pointer[tls.Certificate]
			shown.Store(authority.issue(t, "sts.example", 24*time.Hour))
			serveTLS(t, f.w, &shown)
			f.environment = []string{"AWS_ENDPOINT_URL_STS=https://sts.example", "AWS_CA_BUNDLE=" + authority.bundle, "HTTPS_PROXY=http://127.0.0.1:3128"}
		}},
		begin: func(*world) {
			if proxy != nil {
				proxy.Close()
			}
		},
		end: func(w *world) { proxy = serveProxy(t, "127.0.0.1:3128", w.srv.Listener.Addr().String()) },
	}.test(t)
}

// A redirect is never followed, here to the metadata service of the node: P2, P6.
func TestFaultRedirect(t *testing.T) {
	var requests atomic.Int32
	setup{enter: inNamespaces, reason: "invalid_response", before: func(f *fault) {
		setAddress(t, "lo:1", "169.254.169.254")
		ln, err := net.Listen("tcp", "169.254.169.254:80")
		if err != nil {
			t.Fatal(err)
		}
		metadata := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) })}
		go metadata.Serve(ln)
		t.Cleanup(func() { metadata.Close() })
		for _, status := range []int{301, 302, 303, 307, 308} {
			f.w.sts.Next(standin.Redirect(status, "http://169.254.169.254/latest/meta-data/iam/security-credentials/"))
		}
	}}.faultTest(t, nil) // STS answers after the redirects
	if n := requests.Load(); n != 0 {
		t.Errorf("the metadata service got %d requests, want 0", n)
	}
}

// serveTLS serves STS with the certificate that shown points to, and returns the URL.
func serveTLS(t *testing.T, w *world, shown *atomic.Pointer[tls.Certificate]) (url string) {
	w.srv.Close()
	w.srv = httptest.NewUnstartedServer(w.sts)
	w.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the client rightly ends
	w.srv.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }}
	w.srv.StartTLS()
	t.Cleanup(w.srv.Close)
	_, port, _ := net.SplitHostPort(w.srv.Listener.Addr().String())
	return "https://localhost:" + port
}

// serveProxy serves a proxy that connects to the same address whatever the request
// names, until its listener is closed.
func serveProxy(t *testing.T, addr, to string) net.Listener {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tunnel(w, to) }))
	return ln
}

// tunnel answers a CONNECT request with a connection to that address.
func tunnel(w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	// The answer comes after Hijack: the server may read the first byte that follows its own
	// answer, and keeps it.
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(out, in)
	io.Copy(in, out)
}

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	bundle      string // file with its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a.bundle = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(a.bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue returns a certificate for a name that expires after lifetime, which may be
// negative.
func (a *authority) issue(t *testing.T, name string, lifetime time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(lifetime),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
