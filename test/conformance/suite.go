package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"irsa-sidecar/test/harness"
)

// suite holds what all releases share.
type suite struct {
	dir     string // this command's source
	cache   string // where releases are installed
	sidecar string // the binary under test; empty: build it from this module
	out     io.Writer
	err     io.Writer
}

func newSuite(ctx context.Context, getenv func(string) string, out, err io.Writer) (*suite, error) {
	root, rootErr := harness.Root(ctx)
	if rootErr != nil {
		return nil, rootErr
	}
	cache := getenv("CONFORMANCE_CACHE")
	if cache == "" {
		home, homeErr := os.UserCacheDir()
		if homeErr != nil {
			return nil, homeErr
		}
		cache = filepath.Join(home, "irsa-sidecar-conformance")
	}
	return &suite{
		dir:     filepath.Join(root, "test", "conformance"),
		cache:   cache,
		sidecar: getenv("SIDECAR"),
		out:     out,
		err:     err,
	}, nil
}

// choose returns the releases that the command line selects.
func (s *suite) choose(o options) ([]release, error) {
	all, err := readReleases(filepath.Join(s.dir, "releases.txt"))
	if err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(all, func(r release) bool {
		return o.quick && o.client == "" && !r.marked("quick") || !strings.Contains(r.String(), o.client)
	})
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no release matches %q: see --list", o.client)
	}
	return chosen, nil
}

// run installs and tests the releases, and compares the verdicts with the recorded
// ones.
func (s *suite) run(ctx context.Context, releases []release, o options) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	for i, r := range releases {
		start := time.Now()
		if err := s.install(ctx, r); err != nil {
			return fmt.Errorf("installing %s: %w", r, err)
		}
		fmt.Fprintf(s.out, "installed %d/%d %s in %s\n", i+1, len(releases), r, time.Since(start).Round(100*time.Millisecond))
	}
	seen, err := s.try(ctx, releases, o)
	if err != nil {
		return err
	}
	switch {
	case o.record:
		return s.writeRequests(seen)
	case o.update:
		return s.update(verdicts(seen))
	}
	return s.compare(verdicts(seen))
}

// build builds the sidecar, unless a binary was given.
func (s *suite) build(ctx context.Context) error {
	if s.sidecar != "" {
		path, err := filepath.Abs(s.sidecar)
		s.sidecar = path
		return err
	}
	s.sidecar = filepath.Join(s.cache, "sidecar")
	return harness.Build(ctx, s.sidecar, "cmd/sidecar")
}

// home returns the directory in which a release is installed.
func (s *suite) home(r release) string {
	return filepath.Join(s.cache, r.Driver, strings.NewReplacer("/", "_", " ", "@").Replace(r.String()))
}

// install runs the driver's install script, unless this version of the driver has
// already installed the release.
func (s *suite) install(ctx context.Context, r release) error {
	driver := filepath.Join(s.dir, "clients", r.Driver)
	stamp, err := fingerprint(driver, r)
	if err != nil {
		return err
	}
	done := filepath.Join(s.home(r), ".installed")
	if old, err := os.ReadFile(done); err == nil && string(old) == stamp {
		return nil
	}
	if err := errors.Join(os.RemoveAll(s.home(r)), os.MkdirAll(s.home(r), 0o755)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-euo", "pipefail", filepath.Join(driver, "install"), r.Package, r.Version}, r.Marks...)...)
	cmd.Dir = s.home(r)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-4000):])
	}
	return os.WriteFile(done, []byte(stamp), 0o644)
}

// try tests the releases, several at a time, each in its own namespaces.
func (s *suite) try(ctx context.Context, releases []release, o options) (map[string]*report, error) {
	seen := make(map[string]*report)
	var (
		mu   sync.Mutex // guards seen, errs and the output
		errs []error
		wg   sync.WaitGroup
	)
	slots := make(chan struct{}, s.width(o))
	for _, r := range releases {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			start := time.Now()
			got, err := s.outside(ctx, r, o)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", r, err))
				return
			}
			seen[r.String()] = got
			fmt.Fprintf(s.out, "tested %d/%d %s in %s\n", len(seen), len(releases), r, time.Since(start).Round(100*time.Millisecond))
		})
	}
	wg.Wait()
	return seen, errors.Join(errs...)
}

// width returns how many releases are tested at a time. A full run mostly waits for
// renewals.
func (s *suite) width(o options) int {
	if o.quick || o.record {
		return 2
	}
	return 12
}

// fingerprint changes when the driver's files or its arguments change.
func fingerprint(driver string, r release) (string, error) {
	var b bytes.Buffer
	err := filepath.WalkDir(driver, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %q\n", d.Name(), content)
		return err
	})
	if err != nil {
		return "", err
	}
	fmt.Fprint(&b, r.String(), r.Marks)
	sum, err := json.Marshal(sha256sum(b.Bytes()))
	return string(sum), err
}
