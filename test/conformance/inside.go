package main

import (
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
	"syscall"
	"time"

	"irsa-sidecar/test/recorded"
)

// job is the input of the inner process.
type job struct {
	Release release
	Quick   bool
	Case    string // the only case to run; empty: all
	Record  bool
	Logs    bool // to print, case by case
	Fault   string
	Sidecar string
	Home    string // where the release is installed
	Driver  string // the directory of its driver
	Store   string // where the S3 server is installed
}

// report is the output of the inner process.
type report struct {
	Verdicts map[string]string  // by case
	Requests []recorded.Request // if they are recorded
}

// outside tests a release in a child process with its own network, mount and PID
// namespaces. Every address can be the same as in a pod, and no process outlives the
// child.
func (s *suite) outside(ctx context.Context, r release, o options) (*report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	in, err := json.Marshal(job{r, o.quick, o.name, o.record, o.logs, o.fault, s.sidecar, s.home(r), filepath.Join(s.dir, "clients", r.Driver), s.home(storeRelease())})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-inside")
	cmd.Stdin = strings.NewReader(string(in))
	cmd.Stderr = s.err
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: this needs root, to create namespaces", err)
	}
	got := new(report)
	return got, json.Unmarshal(out, got)
}

// inside tests the release that stdin names, and writes a report to stdout.
func inside(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	var j job
	if err := json.NewDecoder(stdin).Decode(&j); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(dir, j)
	if err != nil {
		return err
	}
	if j.Release.marked("works") {
		if err := startStore(j.Store); err != nil {
			return err
		}
	}
	seen := report{Verdicts: make(map[string]string)}
	for _, c := range cases() {
		if c.reason(j.Release) != "" || j.Quick && !c.quick(j.Release) || j.Case != "" && j.Case != c.name || j.Record && !c.records() || j.Fault != "" && !c.notices() {
			continue
		}
		t := &trial{job: j, world: w, dir: filepath.Join(dir, c.name), stderr: stderr}
		verdict, err := t.try(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		seen.Verdicts[c.name] = verdict
	}
	if w.tap != nil {
		seen.Requests = w.tap.take()
	}
	return json.NewEncoder(stdout).Encode(seen)
}

// isolate makes the namespaces of this process look like a pod's: a loopback
// interface, host names that resolve to our STS, and a CA bundle that trusts it.
func isolate(dir string, bundle []byte) error {
	if err := ip(nil, "link set lo up"); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 " + strings.Join(slices.Concat(stsNames(), storeNames()), " ") + "\n"
	bindings := []struct{ path, content string }{
		{"/etc/hosts", hosts},
		{"/etc/ssl/certs/ca-certificates.crt", string(bundle)},
	}
	err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	for _, b := range bindings {
		source := filepath.Join(dir, filepath.Base(b.path))
		err = errors.Join(err, os.WriteFile(source, []byte(b.content), 0o644), syscall.Mount(source, b.path, "", syscall.MS_BIND, ""))
	}
	return errors.Join(err, syscall.Mount("proc", "/proc", "proc", 0, ""))
}
