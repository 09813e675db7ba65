package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	conditional := map[string]bool{}
	for root := range bundle.Roots() {
		conditional[string(root.Certificate)] = root.Constraint != nil
	}
	amazon := 0
	for block, rest := pem.Decode(out.Bytes()); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !certificate.IsCA || conditional[string(block.Bytes)] {
			t.Errorf("%s", certificate.Subject)
		}
		// STS has a certificate of one of these.
		if strings.HasPrefix(certificate.Subject.CommonName, "Amazon Root CA ") && certificate.NotAfter.After(time.Now()) {
			amazon++
		}
	}
	if amazon != 4 {
		t.Errorf("%d roots of Amazon, want 4", amazon)
	}
}
