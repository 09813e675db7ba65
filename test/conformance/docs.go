package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func (s *suite) docsPath() string {
	return filepath.Join(s.dir, "..", "..", "docs", "compatibility.md")
}

// checkDocs returns an error unless docs/compatibility.md is up to date with
// results.json, releases.txt, compatibility.md and findings.md.
func (s *suite) checkDocs() error {
	want, err := s.docs()
	if err != nil {
		return err
	}
	got, err := os.ReadFile(s.docsPath())
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("docs/compatibility.md is stale: run test/conformance/run --update")
	}
	return nil
}

// docs returns docs/compatibility.md. Its template is compatibility.md in this
// directory, which has placeholders for two tables and for findings.md.
func (s *suite) docs() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "compatibility.md"))
	if err != nil {
		return nil, err
	}
	loopback, err := s.table(loopbackCases())
	if err != nil {
		return nil, err
	}
	linkLocal, err := s.table(linkLocalCases())
	if err != nil {
		return nil, err
	}
	findings, err := os.ReadFile(filepath.Join(s.dir, "findings.md"))
	if err != nil {
		return nil, err
	}
	text = bytes.Replace(text, []byte("{{loopback}}\n"), loopback, 1)
	text = bytes.Replace(text, []byte("{{link-local}}\n"), linkLocal, 1)
	return bytes.Replace(text, []byte("{{findings}}\n"), findings, 1), nil
}

// table returns the recorded verdicts of all releases for cases.
func (s *suite) table(cases []testCase) ([]byte, error) {
	releases, err := s.choose(options{})
	if err != nil {
		return nil, err
	}
	known, err := s.readResults()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	header := []string{"language", "package", "release"}
	for _, c := range cases {
		header = append(header, c.name)
		fmt.Fprintf(&b, "- **%s**: %s\n", c.name, c.title)
	}
	b.WriteByte('\n')
	row(header)
	row(strings.Split(strings.Repeat("---,", len(header)-1)+"---", ","))
	for _, r := range releases {
		verdicts, ok := known[r.String()]
		if !ok {
			return nil, fmt.Errorf("results.json has no verdicts for %s: run test/conformance/run --update --client %q", r, r)
		}
		row(cells(r, verdicts, cases))
	}
	return b.Bytes(), nil
}

func cells(r release, verdicts map[string]string, cases []testCase) []string {
	version := r.Version
	if r.marked("legacy") {
		version = "**" + version + "**"
	}
	cells := []string{r.Language, r.Package, version}
	for _, c := range cases {
		verdict, _, _ := strings.Cut(verdicts[c.name], ": ") // without the reason of an n/a
		cells = append(cells, verdict)
	}
	return cells
}
