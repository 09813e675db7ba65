package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// scratch is a copy of the project to break.
type scratch struct{ dir string }

// copies are the copies in which mutants run in parallel: the fault tests mostly wait.
type copies []scratch

func newCopies(ctx context.Context) (c copies, err error) {
	for range 2 {
		dir, err := os.MkdirTemp("", "mutants-")
		if err != nil {
			return c, err
		}
		s := scratch{dir}
		c = append(c, s)
		if err := s.fill(ctx); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c copies) remove() error {
	var errs []error
	for _, s := range c {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// fill copies what the tests of the promises need: the code, and the documents and
// manifests that internal/config's tests compare with it.
func (s scratch) fill(ctx context.Context) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
		"cmd", "internal", "test/golden", "test/rawhttp", "test/standin", "deploy", "docs", "README.md", "SECURITY.md", "go.mod", "go.sum")
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the files: %w", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		copied := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(copied, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tests maps a package, as a directory, to names of tests.
type tests map[string][]string

// packages returns the packages in the order to run them: quick tests first.
func (t tests) packages() []string {
	packages := slices.Sorted(maps.Keys(t))
	slices.Reverse(packages)
	return packages
}

// covers reports whether the tests of pkg run code of changed: several packages are
// also tested through the tests of another, as internal/sts by internal/credentials.
func (s scratch) covers(ctx context.Context, pkg, changed string) (bool, error) {
	out, err := s.command(ctx, "go", "list", "-deps", "-test", "./"+pkg).Output()
	if err != nil {
		return false, fmt.Errorf("listing what the tests of %s import: %w", pkg, err)
	}
	return slices.Contains(strings.Fields(string(out)), "irsa-sidecar/"+changed), nil
}

// test runs tests of a package until one fails, and returns that test and the output.
// An error means that the tests could not run.
func (s scratch) test(ctx context.Context, pkg string, names []string) (failed, output string, err error) {
	args := []string{"test", "-vet=off", "-count=1", "-failfast", "-timeout=5m", "-run=^(" + strings.Join(names, "|") + ")$", "./" + pkg}
	if pkg == "internal/credentials" {
		// A fixed seed makes it reproducible. There is no need to shrink a failure.
		args = append(args, "-rapid.seed=1", "-rapid.checks=500", "-rapid.shrinktime=0s", "-rapid.nofailfile")
	}
	out, err := s.command(ctx, "go", args...).CombinedOutput()
	output = string(out)
	switch failed = failure(output); {
	case ctx.Err() != nil:
		return "", output, context.Cause(ctx)
	case err == nil && strings.Contains(output, "no tests to run"):
		return "", output, fmt.Errorf("%s has none of the tests %q", pkg, names)
	case err == nil:
		return "", output, nil
	case failed == "":
		return "", output, fmt.Errorf("cannot interpret how the tests of %s ended: %w\n%s", pkg, err, output)
	}
	return failed, output, nil
}

// How go test reports which test has failed, timed out or panicked.
var (
	failedTest   = regexp.MustCompile(`(?m)^--- FAIL: (Test\w+)`)
	timedOutTest = regexp.MustCompile(`(?m)^\t\t(Test\w+)[/ ]`)
	panickedTest = regexp.MustCompile(`(?m)^irsa-sidecar/[^ ]*\.(Test\w+)[.(]`)
)

// failure returns the name of the failed test from the output of go test.
func failure(output string) string {
	for _, pattern := range []*regexp.Regexp{failedTest, timedOutTest, panickedTest} {
		if m := pattern.FindStringSubmatch(output); m != nil {
			return m[1]
		}
	}
	return ""
}

// A promise is a section of the document, with links to its tests in a list.
var (
	section  = regexp.MustCompile(`^## (P\d) `)
	testLink = regexp.MustCompile(`^- \[(Test\w+)\]\(\.\./([a-z/]+)/\w+_test\.go\)`)
)

// parseLinks returns the tests of each promise.
func parseLinks(document string) map[string]tests {
	links := map[string]tests{}
	var promise string
	for line := range strings.Lines(document) {
		if strings.HasPrefix(line, "## ") {
			promise = ""
			if m := section.FindStringSubmatch(line); m != nil {
				promise = m[1]
				links[promise] = tests{}
			}
		}
		if m := testLink.FindStringSubmatch(line); m != nil && promise != "" {
			links[promise][m[2]] = append(links[promise][m[2]], m[1])
		}
	}
	return links
}
