// Command roots prints the root certificates of the image: Mozilla's, from a module of the Go
// project, so that go.sum says which.
package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "roots: %v\n", err)
		os.Exit(1)
	}
}

// write leaves out the roots that Mozilla trusts with a condition: a PEM file cannot say which.
func write(w io.Writer) error {
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return err
		}
	}
	return nil
}
