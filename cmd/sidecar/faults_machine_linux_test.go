package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/test/standin"
)

// On a read-only root file system everything works: the sidecar writes no file: P1 to P8.
func TestFaultReadOnly(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newShortWorld(t) // on its own file system
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/x", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("writing to the root file system: %v", err)
	}
	cmd := command(t, w.environment())
	cmd.Dir = "/"
	p := launch(t, cmd)
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	o.waitForRefresh(t)
	o.end(t)
}

// A log on a full disk blocks nothing, and continues when there is room again: P1, P4,
// P8.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newShortWorld(t)
	disk := newDisk(t)
	p := disk.launch(t, command(t, w.environment()))
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	disk.fill(t)
	o.loseLog(true)
	o.waitForRefresh(t)
	disk.clear(t)
	logged := len(attempts(p.log))
	o.waitForRefresh(t)
	o.wait(t, slack, "line in the log", func() bool { return len(attempts(p.log)) > logged })
	o.end(t)
}

// Without inotify the next refresh reads the new token from the file: P1, P4.
func TestFaultInotify(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"max_inotify_instances", "max_inotify_watches"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			if !inNamespaces(t) {
				return
			}
			write(t, "/proc/sys/user/"+limit, "0")
			w := newShortWorld(t)
			p := start(t, w.environment())
			o := observe(t, w, p)
			o.waitForCredentials(t)
			p.waitForLog(t, "token not watched")
			token := w.publish(t)
			o.waitForRefresh(t)
			requests := w.sts.Requests()
			if sent := requests[len(requests)-1].Form.Get("WebIdentityToken"); sent != token {
				t.Error("the refresh did not use the new token")
			}
			o.end(t)
		})
	}
}

// Without IPv6 it serves on IPv4: P1.
func TestFaultNoIPv6(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	write(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	p.waitForLog(t, "no IPv6 loopback, serving on 127.0.0.1 only")
	o.waitForCredentials(t)
	o.waitForRefresh(t)
	o.end(t)
}

// Without a loopback interface it cannot serve, and says why: P7.
func TestFaultNoLoopback(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	cmd := command(t, newWorld(t).environment())
	setAddress(t, "lo", "0.0.0.0") // as if it had never been up
	out, _ := cmd.CombinedOutput() // the status has the error
	const want = "cannot assign requested address: the loopback interface of this pod is down: "
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
		t.Errorf("exit status %d, output %q, want 1 and %q", cmd.ProcessState.ExitCode(), out, want)
	}
}

// A sidecar that was stopped until after its credentials expired does not serve them,
// says so, and soon has new ones: P2, P4, P7.
func TestFaultStopped(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	o.excuse(func() {
		p.signal(t, syscall.SIGSTOP)
		time.Sleep(15 * time.Second)
		p.signal(t, syscall.SIGCONT)
	})
	o.waitForCredentials(t)
	p.waitForLog(t, "credentials have expired")
	o.end(t)
}

// With a fifth of a CPU and 64 MiB everything works, even if STS sends four times as
// much: P1, P4, P7, P8.
func TestFaultSmallMachine(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := launchSmall(t, w)
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	w.sts.Always(standin.HugeBody(400, 256<<20))
	o.waitForReason(t, "invalid_response")
	w.sts.Always(nil)
	o.waitForCredentials(t)
	o.end(t)
}
