// Command mutants breaks each promise of docs/reliability.md on purpose, in a scratch
// copy, and checks that a test which the document links for that promise fails. Every
// patch in this directory is a mutant; its name begins with the promise that it breaks.
//
//	test/mutants/run               runs all of them
//	test/mutants/run P3 P5-every   runs those whose names begin with a prefix
//
// It exists because a test that cannot fail proves nothing, and reading it does not
// show that. It fails if a mutant survives, or if the tests fail without one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}

// run tries the mutants whose names begin with one of prefixes, or all.
func run(ctx context.Context, prefixes []string, stdout io.Writer) (err error) {
	mutants, err := readMutants("test/mutants", prefixes)
	if err != nil {
		return err
	}
	document, err := os.ReadFile("docs/reliability.md")
	if err != nil {
		return err
	}
	links := parseLinks(string(document))
	copies, err := newCopies(ctx)
	defer func() { err = errors.Join(err, copies.remove()) }()
	if err != nil {
		return err
	}
	if err := copies[0].tryNone(ctx, mutants, links); err != nil {
		return err
	}
	survivors, err := copies.tryAll(ctx, mutants, links, stdout)
	if err == nil && survivors > 0 {
		err = fmt.Errorf("%d of %d survived: none of the tests that docs/reliability.md links for the promise fails", survivors, len(mutants))
	}
	return err
}

// tryAll tries the mutants, one at a time in each copy, and returns how many survived.
func (c copies) tryAll(ctx context.Context, mutants []mutant, links map[string]tests, stdout io.Writer) (survivors int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	left := make(chan mutant, len(mutants))
	for _, m := range mutants {
		left <- m
	}
	close(left)
	var mu sync.Mutex // guards survivors and stdout
	for _, s := range c {
		g.Go(func() error {
			for m := range left {
				caught, err := s.try(ctx, m, links[m.promise])
				if err != nil {
					return fmt.Errorf("%s: %w", m.patch, err)
				}
				mu.Lock()
				if caught == "" {
					survivors++
					fmt.Fprintf(stdout, "SURVIVED %s (%s)\n", m.name, m.promise)
				} else {
					fmt.Fprintf(stdout, "caught %s (%s) by %s\n", m.name, m.promise, caught)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	err = g.Wait()
	return survivors, err
}

// mutant is a way to break a promise.
type mutant struct {
	promise string // P1 to P8
	name    string
	patch   string // absolute path of the file
}

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
		promise, name, _ := strings.Cut(name, "-")
		if patch, err = filepath.Abs(patch); err != nil {
			return nil, err
		}
		mutants = append(mutants, mutant{promise, name, patch})
	}
	if len(mutants) == 0 {
		return nil, fmt.Errorf("no patch in %s begins with %q", dir, prefixes)
	}
	return mutants, nil
}

// tryNone runs the tests of all promises that the mutants break, without a mutant.
func (s scratch) tryNone(ctx context.Context, mutants []mutant, links map[string]tests) error {
	all := tests{}
	for _, m := range mutants {
		if len(links[m.promise]) == 0 {
			return fmt.Errorf("docs/reliability.md links no test for %s", m.promise)
		}
		for pkg, names := range links[m.promise] {
			all[pkg] = append(all[pkg], names...)
		}
	}
	for _, pkg := range all.packages() {
		if failed, output, err := s.test(ctx, pkg, all[pkg]); err != nil {
			return err
		} else if failed != "" {
			return fmt.Errorf("%s fails without a mutant:\n%s", failed, output)
		}
	}
	return nil
}

// try returns the test that fails with m, or "" if none does.
func (s scratch) try(ctx context.Context, m mutant, linked tests) (caught string, err error) {
	changed, err := s.patch(ctx, m.patch)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.restore(ctx, m.patch)) }()
	if output, err := s.command(ctx, "go", "build", "./cmd/...", "./internal/...").CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not compile: %w\n%s", err, output)
	}
	for _, pkg := range linked.packages() {
		if covers, err := s.covers(ctx, pkg, changed); err != nil {
			return "", err
		} else if !covers {
			continue
		}
		if caught, _, err = s.test(ctx, pkg, linked[pkg]); caught != "" || err != nil {
			return caught, err
		}
	}
	return "", nil
}

// patch applies a patch and returns the package that it changes.
func (s scratch) patch(ctx context.Context, file string) (pkg string, err error) {
	if output, err := s.command(ctx, "git", "apply", file).CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not apply, recreate it: %w\n%s", err, output)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, target, _ := strings.Cut(string(text), "\n+++ b/")
	target, _, _ = strings.Cut(target, "\n")
	return filepath.Dir(target), nil
}

func (s scratch) restore(ctx context.Context, file string) error {
	return s.command(context.WithoutCancel(ctx), "git", "apply", "--reverse", file).Run()
}

// command returns a command that runs in the copy.
func (s scratch) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir
	return cmd
}
