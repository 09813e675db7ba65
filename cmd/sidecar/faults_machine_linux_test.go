package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/test/standin"
)

// Everything works on a read-only root file system, because the sidecar writes no file:
// P1 to P8.
func TestFaultReadOnly(t *testing.T) {
	setup{
		enter: inNamespaces,
		before: func(*fault) { // the world is on its own file system
			if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("/x", nil, 0o600); !errors.Is(err, syscall.EROFS) {
				t.Fatalf("writing to the root file system: %v", err)
			}
		},
		launch: func(t *testing.T, cmd *exec.Cmd) *process {
			cmd.Dir = "/"
			return launch(t, cmd)
		},
	}.faultTest(t, nil)
}

// A log on a full disk blocks nothing, and continues when there is room again: P1, P4,
// P8.
func TestFaultDiskFull(t *testing.T) {
	d := new(disk)
	setup{enter: inNamespaces, before: func(*fault) { d.mount(t) }, launch: d.launch}.faultTest(t, func(f *fault) {
		d.fill(t)
		f.loseLog(true)
		f.waitForRefresh()
		d.clear(t)
		logged := len(attempts(f.p.log()))
		f.waitForRefresh()
		f.wait(slack, "line in the log", func() bool { return len(attempts(f.p.log())) > logged })
	})
}

// Without inotify the sidecar reads the new token at the next refresh: P1, P4.
func TestFaultInotify(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"max_inotify_instances", "max_inotify_watches"} {
		t.Run(limit, func(t *testing.T) {
			setup{enter: inNamespaces, before: func(*fault) {
				write(t, "/proc/sys/user/"+limit, "0")
			}}.faultTest(t, func(f *fault) {
				f.p.waitForLog(t, "token not watched")
				token := f.w.publish(t)
				f.waitForRefresh()
				f.checkSentToken(t, token)
			})
		})
	}
}

// Without IPv6 the sidecar serves on IPv4: P1.
func TestFaultNoIPv6(t *testing.T) {
	setup{enter: inNamespaces, before: func(*fault) {
		write(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
	}}.faultTest(t, func(f *fault) {
		f.p.waitForLog(t, "no IPv6 loopback, serving on 127.0.0.1 only")
	})
}

// Without a loopback interface the sidecar cannot serve, and says why: P7.
func TestFaultNoLoopback(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	cmd := command(t, newWorld(t).environment())
	setAddress(t, "lo", "0.0.0.0") // as if it had never been up
	const want = "cannot assign requested address: the loopback interface of this pod is down: "
	if status, output := outcome(cmd); status != 1 || !strings.Contains(output, want) {
		t.Errorf("exit status %d, output %q, want 1 and %q", status, output, want)
	}
}

// A sidecar that was stopped until after its credentials expired does not serve them,
// says so, and soon has new ones: P2, P4, P7.
func TestFaultStopped(t *testing.T) {
	faultTest(t, func(f *fault) {
		f.pause(t, 15*time.Second)
		f.waitForCredentials()
		f.p.waitForLog(t, "credentials have expired")
	})
}

// pause stops the sidecar for a time, in which it need not answer or refresh.
func (f *fault) pause(t *testing.T, d time.Duration) {
	t.Helper()
	f.excuse(func() {
		f.p.signal(t, syscall.SIGSTOP)
		time.Sleep(d)
		f.p.signal(t, syscall.SIGCONT)
	})
}

// With a fifth of a CPU and 64 MiB everything works, even if STS sends four times as
// much: P1, P4, P7, P8.
func TestFaultSmallMachine(t *testing.T) {
	setup{launch: launchSmall}.faultTest(t, func(f *fault) {
		f.w.sts.Always(standin.HugeBody(400, 256<<20))
		f.waitForReason("invalid_response")
		f.w.sts.Always(nil)
	})
}
