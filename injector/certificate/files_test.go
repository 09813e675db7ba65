package certificate

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// publish writes a certificate for host into a directory.
func publish(t *testing.T, dir, host string) *pair {
	t.Helper()
	p, err := newPair(host, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{leafCert, leafKey} {
		if err := os.WriteFile(filepath.Join(dir, name), p.data[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestFilesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := NewFiles(dir, slog.New(slog.DiscardHandler))
		if err := f.Ready(); err == nil || !f.Expires().IsZero() {
			t.Fatal("ready without files")
		}
		first := publish(t, dir, "first.example.com")
		time.Sleep(readAgain)
		if err := f.Ready(); err != nil || !f.Expires().Equal(first.leaf.Leaf.NotAfter) {
			t.Fatal(err)
		}
		publish(t, dir, "second.example.com")
		if c, err := f.GetCertificate(nil); err != nil || c.Leaf.DNSNames[0] != "first.example.com" {
			t.Fatalf("read again at once: %v", err)
		}
		time.Sleep(readAgain)
		if c, err := f.GetCertificate(nil); err != nil || c.Leaf.DNSNames[0] != "second.example.com" {
			t.Fatalf("not read again: %v", err)
		}
		// Between the two writes of a change the certificate does not match the key.
		if err := os.WriteFile(filepath.Join(dir, leafCert), first.data[leafCert], 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(readAgain)
		if c, err := f.GetCertificate(nil); err != nil || c.Leaf.DNSNames[0] != "second.example.com" {
			t.Fatalf("the previous certificate is lost: %v", err)
		}
	})
}

// The kubelet replaces both files of a Secret at once, by renaming a symbolic link.
func TestFilesOfASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		swap := func(version, host string) {
			target, link := filepath.Join(dir, version), filepath.Join(dir, "..data_tmp")
			err := errors.Join(os.Mkdir(target, 0o755), os.Symlink(version, link))
			publish(t, target, host)
			if err := errors.Join(err, os.Rename(link, filepath.Join(dir, "..data"))); err != nil {
				t.Fatal(err)
			}
		}
		swap("..2026_01", "first.example.com")
		for _, name := range []string{leafCert, leafKey} {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		f := NewFiles(dir, slog.New(slog.DiscardHandler))
		if c, err := f.GetCertificate(nil); err != nil || c.Leaf.DNSNames[0] != "first.example.com" {
			t.Fatal(err)
		}
		swap("..2026_02", "second.example.com")
		if err := os.RemoveAll(filepath.Join(dir, "..2026_01")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(readAgain)
		if c, err := f.GetCertificate(nil); err != nil || c.Leaf.DNSNames[0] != "second.example.com" {
			t.Fatalf("not read again: %v", err)
		}
	})
}
