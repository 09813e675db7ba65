package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// launchSmall starts a sidecar that has 64 MiB and a fifth of a CPU.
func launchSmall(t *testing.T, w *world) *process {
	t.Helper()
	group := newControlGroup(t)
	return launch(t, through(command(t, w.environment()), "echo $$ >"+strings.Join(group, " && echo $$ >")))
}

// newControlGroup makes a group with little memory and CPU, and returns the files
// to which a process writes its id to be in it.
func newControlGroup(t *testing.T) (processes []string) {
	t.Helper()
	// By the parent's directory. A large share of what other tests leave, so that
	// nothing but the limit is felt.
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

// through returns a command that runs a line of the shell before cmd, in the same
// process.
func through(cmd *exec.Cmd, line string) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", line + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// disk is a small file system that holds a log.
type disk struct {
	log     string // the file
	cleared string // what it held before it was cleared
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return &disk{log: filepath.Join(dir, "log")}
}

// launch starts a sidecar that works and logs there.
func (d *disk) launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	f := d.open(t)
	defer f.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(d.log), f, f
	p := launch(t, cmd)
	p.log = d
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

// fill leaves no room, not even in the last block of the log.
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

// clear makes room, as one who rotates logs.
func (d *disk) clear(t *testing.T) {
	t.Helper()
	d.cleared = d.String()
	if err := os.Truncate(d.log, 0); err != nil {
		t.Fatal(err)
	}
}

// String returns all that was logged.
func (d *disk) String() string {
	log, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return d.cleared + strings.TrimRight(string(log), "\n") + "\n"
}

// waitForPorts waits until a process whose log cannot say where listens there.
func (p *process) waitForPorts(t *testing.T, door, admin string) {
	t.Helper()
	p.endpoint, p.admin = door, admin
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", admin) // which comes second
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
