package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// runner tries mutants. It is safe for concurrent use.
type runner struct {
	mu sync.Mutex
	// mu guards the fields below.
	passes map[test]func() error // whether a test passes without a mutant
}

func newRunner() *runner { return &runner{passes: map[test]func() error{}} }

// try returns the test that fails with m, the zero test if none does.
func (r *runner) try(ctx context.Context, m mutant, linked tests) (caught test, err error) {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return test{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(ctx, dir)
	if err != nil {
		return test{}, err
	}
	if slices.Contains(linked[m.caught.pkg], m.caught.name) {
		caught, err = runTests(ctx, overlay, m.caught.pkg, m.caught.name)
	}
	for _, pkg := range linked.packages() {
		if caught != (test{}) || err != nil {
			break
		}
		covers, coversErr := covers(ctx, pkg, filepath.Dir(m.target))
		if err = coversErr; covers {
			caught, err = runTests(ctx, overlay, pkg, linked[pkg]...)
		}
	}
	if caught != (test{}) && err == nil {
		err = r.passesWithout(ctx, caught)
	}
	return caught, err
}

// overlay applies the patch to a copy in dir, and returns the file that makes the go
// command read the copy: https://pkg.go.dev/cmd/go, -overlay.
func (m mutant) overlay(ctx context.Context, dir string) (string, error) {
	original, err := filepath.Abs(m.target)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(dir, m.target)
	err = errors.Join(os.MkdirAll(filepath.Dir(mutated), 0o755), os.WriteFile(mutated, text, 0o644))
	if err != nil {
		return "", err
	}
	apply := exec.CommandContext(ctx, "git", "apply", m.patch)
	apply.Dir = dir
	if output, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not apply, recreate it: %w\n%s", err, output)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, replace, 0o644)
}

// passesWithout returns an error if t fails without a mutant; it runs t once.
func (r *runner) passesWithout(ctx context.Context, t test) error {
	r.mu.Lock()
	passes, ok := r.passes[t]
	if !ok {
		passes = sync.OnceValue(func() error {
			failed, err := runTests(ctx, "", t.pkg, t.name)
			if err == nil && failed != (test{}) {
				err = fmt.Errorf("%s of %s fails without a mutant", t.name, t.pkg)
			}
			return err
		})
		r.passes[t] = passes
	}
	r.mu.Unlock()
	return passes()
}

// covers reports whether the tests of pkg run code of changed: several packages are
// also tested through the tests of another, as internal/sts by internal/credentials.
func covers(ctx context.Context, pkg, changed string) (bool, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "./"+pkg).Output()
	if err != nil {
		return false, fmt.Errorf("listing what the tests of %s import: %w", pkg, err)
	}
	return slices.Contains(strings.Fields(string(out)), "irsa-sidecar/"+changed), nil
}

// runTests runs tests of a package until one fails, and returns that one. An error means
// that the tests could not run.
func runTests(ctx context.Context, overlay, pkg string, names ...string) (failed test, err error) {
	args := []string{"test", "-vet=off", "-count=1", "-failfast", "-timeout=5m", "-run=^(" + strings.Join(names, "|") + ")$", "./" + pkg}
	if pkg == "internal/credentials" {
		// A fixed seed makes it reproducible. There is no need to shrink a failure.
		args = append(args, "-rapid.seed=1", "-rapid.checks=500", "-rapid.shrinktime=0s", "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	if overlay != "" {
		// In the environment, so that tests which build the sidecar build the mutant.
		cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+overlay)
	}
	out, err := cmd.CombinedOutput()
	output := string(out)
	switch name := failure(output); {
	case ctx.Err() != nil:
		return test{}, context.Cause(ctx)
	case err == nil && strings.Contains(output, "no tests to run"):
		return test{}, fmt.Errorf("%s has none of the tests %q", pkg, names)
	case err == nil:
		return test{}, nil
	case name == "":
		return test{}, fmt.Errorf("cannot interpret how the tests of %s ended: %w\n%s", pkg, err, output)
	default:
		return test{pkg, name}, nil
	}
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
