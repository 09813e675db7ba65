package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// progress is the directory in which a full run keeps what it has tested, so that a run that
// was interrupted goes on where it stopped. Its name depends on the sidecar and on this
// suite: others do not go on with it. The zero value keeps nothing.
type progress struct {
	dir   string
	suite *suite
}

// progress returns that of a full run, or the zero value for the options of any other.
func (s *suite) progress(o options) (progress, error) {
	if o != (options{update: o.update}) {
		return progress{}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return progress{}, err
	}
	hash := sha256.New()
	for _, name := range []string{s.sidecar, self} {
		content, err := os.ReadFile(name)
		if err != nil {
			return progress{}, err
		}
		hash.Write(content)
	}
	all := filepath.Join(s.cache, "progress")
	p := progress{filepath.Join(all, fmt.Sprintf("%.8x", hash.Sum(nil))), s}
	others, err := filepath.Glob(filepath.Join(all, "*"))
	for _, other := range others {
		if other != p.dir {
			err = errors.Join(err, os.RemoveAll(other))
		}
	}
	return p, errors.Join(err, os.MkdirAll(p.dir, 0o755))
}

// file returns where the report of a release is. It changes when the release's driver does.
func (p progress) file(r release) (string, error) {
	stamp, err := fingerprint(filepath.Join(p.suite.dir, "clients", r.Driver), r)
	return filepath.Join(p.dir, fmt.Sprintf("%x.json", sha256sum([]byte(stamp)))), err
}

// keep writes the report of a release.
func (p progress) keep(r release, got *report) error {
	if p.suite == nil {
		return nil
	}
	name, err := p.file(r)
	if err != nil {
		return err
	}
	content, err := json.Marshal(got)
	if err != nil {
		return err
	}
	// Never half a file.
	return errors.Join(os.WriteFile(name+".new", content, 0o644), os.Rename(name+".new", name))
}

// kept reads the reports of the run that was interrupted, and returns them and the releases
// that it has not tested.
func (p progress) kept(releases []release) (map[string]*report, []release, error) {
	seen := make(map[string]*report)
	if p.suite == nil {
		return seen, releases, nil
	}
	var errs []error
	rest := slices.DeleteFunc(slices.Clone(releases), func(r release) bool {
		name, err := p.file(r)
		if err != nil {
			errs = append(errs, err)
			return false
		}
		content, err := os.ReadFile(name)
		got := new(report)
		if err != nil || json.Unmarshal(content, got) != nil {
			return false
		}
		seen[r.String()] = got
		return true
	})
	if len(seen) > 0 {
		fmt.Fprintf(p.suite.out, "going on: %d of %d releases are tested already (to start again, remove %s)\n", len(seen), len(releases), p.dir)
	}
	return seen, rest, errors.Join(errs...)
}

// end forgets a run that is complete.
func (p progress) end() error {
	if p.suite == nil {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// left returns how much longer it takes, if the rest takes as long as what is done.
func left(start time.Time, done, all int) string {
	if done == all {
		return ""
	}
	rest := time.Since(start) * time.Duration(all-done) / time.Duration(done)
	return ", about " + rest.Round(10*time.Second).String() + " left"
}
