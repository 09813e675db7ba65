package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// launchSmall starts a sidecar with 64 MiB of memory and a fifth of a CPU.
func launchSmall(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	group := newControlGroup(t)
	return launch(t, through(cmd, "echo $$ >"+strings.Join(group, " && echo $$ >")))
}

// launchWithFewFiles starts a sidecar that can have 64 open files, connections included.
func launchWithFewFiles(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	return launch(t, through(cmd, "ulimit -n 64"))
}

// newControlGroup makes a control group with little memory and CPU, and returns the files
// to which a process writes its id to join it.
func newControlGroup(t *testing.T) (processes []string) {
	t.Helper()
	// The keys are parent directories. The CPU share is large, so that the other tests do
	// not slow the group down further.
	limits := map[string]map[string]string{
		"/sys/fs/cgroup/memory": {"memory.limit_in_bytes": "67108864"},
		"/sys/fs/cgroup/cpu":    {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000", "cpu.shares": "10240"},
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		limits = map[string]map[string]string{"/sys/fs/cgroup": {"memory.max": "67108864", "cpu.max": "20000 100000", "cpu.weight": "1000"}}
	}
	for parent, files := range limits {
		group, err := os.MkdirTemp(parent, "sidecar")
		if err != nil && os.Getuid() != 0 {
			t.Skipf("no control groups for user id %d: %v", os.Getuid(), err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(group); err != nil {
				t.Error(err)
			}
		})
		for name, value := range files {
			write(t, filepath.Join(group, name), value)
		}
		processes = append(processes, filepath.Join(group, "cgroup.procs"))
	}
	return processes
}

// through makes cmd run a line of shell first, in the same process.
func through(cmd *exec.Cmd, line string) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", line + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// disk is a small file system that holds a log, once it is mounted.
type disk struct {
	log     string // path
	cleared string // content before it was cleared
}

func (d *disk) mount(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	d.log = filepath.Join(dir, "log")
}

// launch starts a sidecar in the directory of the log, which it logs to.
func (d *disk) launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	f := d.open(t)
	defer f.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(d.log), f, f
	p := launch(t, cmd)
	p.log = d.String
	return p
}

func (d *disk) open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(d.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fill leaves no room on the disk, not even in the last block of the log.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f := d.open(t)
	defer f.Close()
	var err error
	for block := bytes.Repeat([]byte("\n"), 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// clear makes room, like log rotation.
func (d *disk) clear(t *testing.T) {
	t.Helper()
	d.cleared = d.String()
	if err := os.Truncate(d.log, 0); err != nil {
		t.Fatal(err)
	}
}

// String returns the whole log.
func (d *disk) String() string {
	log, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return d.cleared + strings.TrimRight(string(log), "\n") + "\n"
}
