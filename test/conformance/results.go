package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// results are the verdicts, by release and case.
type results map[string]map[string]string

func sha256sum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func (s *suite) readResults() (results, error) {
	known := make(results)
	content, err := os.ReadFile(filepath.Join(s.dir, "results.json"))
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	return known, json.Unmarshal(content, &known)
}

// verdicts returns the verdicts in reports.
func verdicts(reports map[string]*report) results {
	seen := make(results)
	for name, r := range reports {
		seen[name] = r.Verdicts
	}
	return seen
}

// compare prints all verdicts, and returns an error if any differs from the recorded
// one.
func (s *suite) compare(seen results) error {
	known, err := s.readResults()
	if err != nil {
		return err
	}
	unexpected, verdicts := 0, 0
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(s.out, "\n%s\n", name)
		for _, c := range cases() {
			got, tried := seen[name][c.name]
			if !tried {
				continue
			}
			verdicts++
			note := ""
			switch want, isKnown := known[name][c.name]; {
			case !isKnown:
				unexpected++
				note = "   NOT RECORDED YET: --update records it"
			case got != want:
				unexpected++
				note = fmt.Sprintf("   UNEXPECTED: recorded is %q", want)
			}
			fmt.Fprintf(s.out, "   %-22s %s%s\n", c.name, got, note)
		}
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed\n", verdicts-unexpected, unexpected)
	if unexpected > 0 {
		return fmt.Errorf("%d verdicts differ from results.json", unexpected)
	}
	return nil
}

// update records the verdicts in results.json, drops releases that are no longer
// listed and cases that do not apply, and writes docs/compatibility.
func (s *suite) update(seen results) error {
	known, err := s.readResults()
	if err != nil {
		return err
	}
	listed, err := s.choose(options{})
	if err != nil {
		return err
	}
	for name, verdicts := range seen {
		if known[name] == nil {
			known[name] = make(map[string]string)
		}
		maps.Copy(known[name], verdicts)
	}
	maps.DeleteFunc(known, func(name string, verdicts map[string]string) bool {
		i := slices.IndexFunc(listed, func(r release) bool { return r.String() == name })
		if i < 0 {
			return true
		}
		maps.DeleteFunc(verdicts, func(name string, _ string) bool {
			return !slices.ContainsFunc(cases(), func(c testCase) bool { return c.name == name && c.reason(listed[i]) == "" })
		})
		return false
	})
	content, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "results.json"), append(content, '\n'), 0o644); err != nil {
		return err
	}
	return s.writeDocs()
}
