package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// insideVariable holds the name of the test that runs in namespaces.
	insideVariable = "TEST_INSIDE"

	// refusedStatus is the exit status if the kernel refuses what furnish needs.
	refusedStatus = 77
)

// inNamespaces runs the calling test again in a process that is root in new user, process,
// mount and network namespaces. There it returns true, with the loopback interface up and
// an empty file system for temporary files. In the original process it returns false once
// the copy has passed.
//
// It skips the test if an ordinary user may not create namespaces. Root may.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	return isInside(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	})
}

// asRootInNamespaces is inNamespaces with every user. Only root may do this.
func asRootInNamespaces(t *testing.T) bool {
	t.Helper()
	if uid := os.Getuid(); uid != 0 {
		t.Skipf("user id %d cannot start processes of others; root can", uid)
	}
	return isInside(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET})
}

// isInside is inNamespaces for those of attributes.
func isInside(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		if err := furnish(t); err != nil {
			t.Log(err)
			os.Exit(refusedStatus)
		}
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), longestTest)
	defer cancel()
	this := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+this, "-test.v")
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name(), "TMPDIR="+open(t, t.TempDir()))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = attributes
	err := cmd.Run()
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
	case os.Getuid() != 0 && (exit == nil || exit.ExitCode() == refusedStatus):
		t.Skipf("no namespaces for user id %d: %v", os.Getuid(), err)
	default:
		t.Fatalf("inside: %v", err)
	}
	return false
}

// furnish prepares new namespaces for a test.
func furnish(t *testing.T) error {
	// Otherwise mounts would appear outside too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", os.TempDir(), "tmpfs", 0, ""); err != nil {
		return err
	}
	return control("lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error {
		r.SetUint16(unix.IFF_UP)
		return nil
	})
}

// setAddress sets the IPv4 address of an interface, or of an alias of one, such as lo:1.
// 0.0.0.0 removes it.
func setAddress(t *testing.T, name, addr string) {
	t.Helper()
	parsed := netip.MustParseAddr(addr)
	err := control(name, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(parsed.AsSlice()) })
	if err != nil {
		t.Fatal(err)
	}
}

// control sends an ioctl request about a network interface.
func control(name string, request uint, set func(*unix.Ifreq) error) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := set(r); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlIfreq(fd, request, r)
}

// write writes to a file, for example in /proc.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// bind mounts a new file with that content over the file name, and returns its path.
func bind(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	write(t, path, content)
	if err := unix.Mount(path, name, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	return path
}
