package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is a way to break a promise.
type mutant struct {
	promise string // P1 to P8
	name    string
	patch   string // the file, an absolute path
	target  string // the file that it changes, from the root
	caught  test   // which test caught it last time; zero: unknown
}

// test is a test and its package, a directory.
type test struct{ pkg, name string }

// caughtBy begins the first line of a patch, which says which test caught it last time.
// That test runs first, and mostly alone.
const caughtBy = "Caught by "

// readMutants returns the patches in dir whose names begin with one of prefixes,
// or all if there are none.
func readMutants(dir string, prefixes []string) ([]mutant, error) {
	patches, err := filepath.Glob(filepath.Join(dir, "P*.patch"))
	if err != nil {
		return nil, err
	}
	var mutants []mutant
	for _, patch := range patches {
		name := strings.TrimSuffix(filepath.Base(patch), ".patch")
		if len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		m, err := readMutant(patch)
		if err != nil {
			return nil, err
		}
		m.promise, m.name, _ = strings.Cut(name, "-")
		mutants = append(mutants, m)
	}
	if len(mutants) == 0 {
		return nil, fmt.Errorf("no patch in %s begins with %q", dir, prefixes)
	}
	return mutants, nil
}

// onlyPart returns the mutants whose place modulo N is K, for part "K/N".
func onlyPart(mutants []mutant, part string) ([]mutant, error) {
	var k, n int
	if _, err := fmt.Sscanf(part, "%d/%d", &k, &n); err != nil || k < 0 || k >= n {
		return nil, fmt.Errorf("-part %s is not K/N with K from 0 to N-1", part)
	}
	var some []mutant
	for i := k; i < len(mutants); i += n {
		some = append(some, mutants[i])
	}
	return some, nil
}

// readMutant returns what a patch says.
func readMutant(patch string) (m mutant, err error) {
	text, err := os.ReadFile(patch)
	if err != nil {
		return m, err
	}
	if m.patch, err = filepath.Abs(patch); err != nil {
		return m, err
	}
	_, target, ok := strings.Cut(string(text), "\n+++ b/")
	if !ok {
		return m, fmt.Errorf("%s is not a patch", patch)
	}
	m.target, _, _ = strings.Cut(target, "\n")
	if line, ok := strings.CutPrefix(string(text), caughtBy); ok {
		fmt.Sscanf(line, "%s %s", &m.caught.pkg, &m.caught.name)
	}
	return m, nil
}

// record writes into the patch which test caught it.
func (m mutant) record(caught test) error {
	text, err := os.ReadFile(m.patch)
	if err != nil {
		return err
	}
	_, diff, _ := strings.Cut(string(text), "--- a/")
	line := ""
	if caught != (test{}) {
		line = caughtBy + caught.pkg + " " + caught.name + "\n"
	}
	return os.WriteFile(m.patch, []byte(line+"--- a/"+diff), 0o644)
}
