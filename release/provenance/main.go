// Command provenance prints how a release was made, as an in-toto statement with a predicate of
// SLSA (https://slsa.dev/spec/v1.0/provenance):
//
//	provenance FLAG... FILE...
//
// A file NAME.digest has the digest of an image. It has no times: the same release has the
// same provenance.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	ResolvedDependencies []resource        `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder struct {
		ID string `json:"id"`
	} `json:"builder"`
}

// resource is a ResourceDescriptor of in-toto.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "provenance: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("provenance", flag.ContinueOnError)
	tag := flags.String("tag", "", "the release")
	revision := flags.String("revision", "", "its commit")
	registry := flags.String("registry", "", "where the manifests look for the images")
	source := flags.String("source", "", "the repository, if it has an address")
	builder := flags.String("builder", "", "a `URI` for whoever runs this")
	goVersion := flags.String("go", "", "the version of Go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	for _, name := range flags.Args() {
		subject, err := describe(name)
		if err != nil {
			return err
		}
		s.Subject = append(s.Subject, subject)
	}
	repository := resource{Name: "irsa-sidecar", Digest: map[string]string{"gitCommit": *revision}}
	if *source != "" {
		repository.URI = "git+" + *source + "@refs/tags/" + *tag
	}
	s.Predicate.BuildDefinition = buildDefinition{
		BuildType:            "urn:irsa-sidecar:release/run",
		ExternalParameters:   map[string]string{"tag": *tag, "registry": *registry},
		ResolvedDependencies: []resource{repository, {Name: "go", URI: "pkg:generic/go@" + strings.TrimPrefix(*goVersion, "go")}},
	}
	s.Predicate.RunDetails.Builder.ID = *builder
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

func describe(name string) (resource, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return resource{}, err
	}
	if image, ok := strings.CutSuffix(filepath.Base(name), ".digest"); ok {
		digest, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "sha256:")
		if !ok {
			return resource{}, fmt.Errorf("%s has no digest", name)
		}
		return resource{Name: image, Digest: map[string]string{"sha256": digest}}, nil
	}
	sum := sha256.Sum256(data)
	return resource{Name: filepath.Base(name), Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}, nil
}
