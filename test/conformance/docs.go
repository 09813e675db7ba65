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

// checkDocs returns an error if docs/compatibility.md is not what results.json,
// releases.txt and compatibility.md make.
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

// docs returns docs/compatibility.md: the text of compatibility.md here, in
// which three lines stand for two tables and for findings.md.
func (s *suite) docs() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "compatibility.md"))
	if err != nil {
		return nil, err
	}
	loopback, err := s.table(loopbackCases())
	if err != nil {
		return nil, err
	}
	doors, err := s.table(doorCases())
	if err != nil {
		return nil, err
	}
	findings, err := os.ReadFile(filepath.Join(s.dir, "findings.md"))
	if err != nil {
		return nil, err
	}
	text = bytes.Replace(text, []byte("{{table}}\n"), loopback, 1)
	text = bytes.Replace(text, []byte("{{doors}}\n"), doors, 1)
	return bytes.Replace(text, []byte("{{findings}}\n"), findings, 1), nil
}

// table returns what is known of all releases in some cases.
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
			return nil, fmt.Errorf("results.json has nothing of %s: run test/conformance/run --update --client %q", r, r)
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
		verdict, _, _ := strings.Cut(verdicts[c.name], ": ") // n/a, without its reason
		cells = append(cells, verdict)
	}
	return cells
}
