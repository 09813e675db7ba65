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
		isLeftOut := o.quick && !r.marked("quick") && !r.marked("pod_identity") || o.wrong && !r.marked("witness")
		return isLeftOut && o.client == "" || !strings.Contains(r.String(), o.client)
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
	if err := s.installAll(ctx, releases); err != nil {
		return err
	}
	if o.wrong {
		return s.tryWrong(ctx, releases, o)
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

// atATime bounds how many releases are installed at a time: an installation mostly waits for
// a registry.
const atATime = 4

// storeRelease is the S3 server, which is installed as releases are.
func storeRelease() release {
	return release{Language: "server", Package: "moto", Version: "5.2.1", Driver: "s3"}
}

// installAll installs the releases, several at a time.
func (s *suite) installAll(ctx context.Context, releases []release) error {
	if slices.ContainsFunc(releases, func(r release) bool { return r.marked("works") }) {
		releases = append([]release{storeRelease()}, releases...)
	}
	return s.each(releases, atATime, func(r release) (string, error) {
		if err := s.install(ctx, r); err != nil {
			return "", fmt.Errorf("installing %s: %w", r, err)
		}
		return "installed", nil
	})
}

// each calls do with each release, several at a time, and prints what it returns: what has
// been done.
func (s *suite) each(releases []release, width int, do func(release) (string, error)) error {
	var (
		mu   sync.Mutex // guards done, errs and the output
		done int
		errs []error
		wg   sync.WaitGroup
	)
	begin := time.Now()
	slots := make(chan struct{}, width)
	for _, r := range releases {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			what, err := do(r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			done++
			fmt.Fprintf(s.out, "%s %d/%d %s in %s%s\n", what, done, len(releases), r, time.Since(start).Round(100*time.Millisecond), left(begin, done, len(releases)))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
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
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute) // Terraform compiles for ten
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-euo", "pipefail", filepath.Join(driver, "install"), r.Package, r.Version}, r.Marks...)...)
	cmd.Dir = s.home(r)
	// Not two of the same kind at a time.
	cmd.Env = append(os.Environ(), "BASH_ENV="+filepath.Join(s.dir, "clients", "one-at-a-time"), "LOCKS="+s.cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-4000):])
	}
	return os.WriteFile(done, []byte(stamp), 0o644)
}

// try tests the releases, several at a time, each in its own namespaces.
func (s *suite) try(ctx context.Context, releases []release, o options) (map[string]*report, error) {
	progress, err := s.progress(o)
	if err != nil {
		return nil, err
	}
	seen, releases, err := progress.kept(releases)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards seen
	err = s.each(releases, s.width(o), func(r release) (string, error) {
		got, err := s.outside(ctx, r, o)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r, err)
		}
		if err := progress.keep(r, got); err != nil {
			return "", err
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.String()] = got
		return "tested", nil
	})
	if err != nil {
		return nil, err
	}
	return seen, progress.end()
}

// width returns how many releases are tested at a time. They mostly wait, for renewals in a
// full run.
func (s *suite) width(o options) int {
	switch {
	case o.record:
		return 2
	case o.quick, o.wrong:
		return 6
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
