// Package certificate provides the webhook's serving certificate: from files, as cert-manager
// provides them, or its own.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// A Source provides the certificate of a TLS server.
type Source interface {
	// GetCertificate is for tls.Config.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready returns why the API server cannot be served yet, or nil.
	Ready() error
	// Expires returns when the certificate expires, or the zero time without one.
	Expires() time.Time
}

// readAgain is how old the contents of the files may be. The kubelet takes up to a minute to
// change them anyway.
const readAgain = 5 * time.Second

// Files is a certificate in tls.crt and tls.key of a directory, read again as it changes.
type Files struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
	problem error
	read    time.Time
}

// NewFiles returns the certificate in a directory, which need not be there yet.
func NewFiles(dir string, log *slog.Logger) *Files { return &Files{dir: dir, log: log} }

// GetCertificate returns the certificate in the files, or the previous one while they cannot
// be used.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.read) < readAgain {
		return f.current, f.withoutCurrent()
	}
	f.read = time.Now()
	loaded, err := load(filepath.Join(f.dir, "tls.crt"), filepath.Join(f.dir, "tls.key"))
	switch {
	case err != nil && (f.problem == nil || f.problem.Error() != err.Error()):
		f.log.Error("certificate cannot be read", "error", err)
	case err == nil && (f.current == nil || !loaded.Leaf.Equal(f.current.Leaf)):
		f.log.Info("certificate read", "expires", loaded.Leaf.NotAfter)
	}
	f.problem = err
	if err == nil {
		f.current = loaded
	}
	return f.current, f.withoutCurrent()
}

// withoutCurrent returns the error if there is no certificate that could be used in spite of it.
func (f *Files) withoutCurrent() error {
	if f.current != nil {
		return nil
	}
	return f.problem
}

// Ready returns why there is no certificate.
func (f *Files) Ready() error {
	_, err := f.GetCertificate(nil)
	return err
}

// Expires returns when the certificate expires.
func (f *Files) Expires() time.Time {
	if c, err := f.GetCertificate(nil); err == nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

func load(certFile, keyFile string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &c, withLeaf(&c)
}

// withLeaf sets the parsed certificate, whatever GODEBUG says.
func withLeaf(c *tls.Certificate) (err error) {
	if c.Leaf == nil {
		c.Leaf, err = x509.ParseCertificate(c.Certificate[0])
	}
	return err
}
