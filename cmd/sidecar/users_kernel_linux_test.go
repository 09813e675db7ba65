package main

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/token"
)

// failLookups makes processes that start starts fail when they ask the kernel whose a
// connection is: with what socket returns when they open a socket for that, and with what
// send returns when they send a request, if that is not nil.
func failLookups(t *testing.T, socket, send func() error) (start func(*exec.Cmd) *process) {
	t.Helper()
	const requestSize = 72 // that of no other request over netlink
	return intercept(t, []uint32{unix.SYS_SOCKET, unix.SYS_SENDTO}, func(call seccompNotification) (done func(), failure error) {
		done = func() {}
		switch {
		case call.syscall == unix.SYS_SOCKET && call.arguments[0] == unix.AF_NETLINK && call.arguments[2] == unix.NETLINK_SOCK_DIAG:
			return done, socket()
		case call.syscall == unix.SYS_SENDTO && call.arguments[2] == requestSize:
			return done, send()
		}
		return done, nil
	})
}

// P6, P7: where the kernel does not answer, as that of gVisor, the sidecar does not start
// with allowed users, and says why.
func TestAllowedUIDsWithoutSocketDiagnosis(t *testing.T) {
	t.Parallel()
	start := failLookups(t, func() error { return unix.EPROTONOSUPPORT }, func() error { return nil })
	w := newWorld(t)
	w.publish(t)
	p := start(command(t, w.environment("SIDECAR_ALLOWED_UIDS=0,"+strconv.Itoa(os.Getuid()+1))))
	select {
	case <-p.Exited():
	case <-time.After(20 * time.Second):
		t.Fatal("the sidecar runs")
	}
	if status, output := p.State().ExitCode(), p.log(); status != 1 || !strings.Contains(output, "--allowed-uids (SIDECAR_ALLOWED_UIDS): this kernel does not say which user a client is: asking the kernel: protocol not supported") {
		t.Errorf("exit status %d: %s", status, output)
	}
	p = start(command(t, w.environment("SIDECAR_ACCESS_LOG=true")))
	p.waitUntilItListens(t)
	p.waitForLog(t, "access log without user ids")
	p.waitForLog(t, "credentials refreshed")
	if status, body := get(t, "http://"+p.endpoint+"/v1/credentials"); status != 200 {
		t.Errorf("with the access log alone: got %d %s", status, body)
	}
}

// P6: once the kernel no longer answers, nobody gets credentials, not even who got them
// before on another connection; and everybody does who may when it answers again.
func TestAllowedUIDsWhenTheKernelStopsAnswering(t *testing.T) {
	t.Parallel()
	var socket, send errnoBox
	start := failLookups(t, socket.get, send.get)
	w := newWorld(t)
	w.publish(t)
	p := start(command(t, w.environment("SIDECAR_ALLOWED_UIDS=4242"))) // and its own
	p.waitUntilItListens(t)
	p.waitForLog(t, "credentials refreshed")
	url := "http://" + p.endpoint + "/v1/credentials"
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EACCES, unix.EPERM, unix.EAFNOSUPPORT} {
		if status, body := askOnce(t, url); status != 200 {
			t.Errorf("before %v: got %d %s", errno, status, body)
		}
		send.set(errno)
		if status, body := askOnce(t, url); status != 403 || !strings.Contains(body, "asking the kernel: "+errno.Error()) {
			t.Errorf("with %v: got %d %s", errno, status, body)
		}
		socket.set(errno) // it tries with a new one
		if status, body := askOnce(t, url); status != 403 || !strings.Contains(body, "asking the kernel: "+errno.Error()) {
			t.Errorf("with %v for sockets: got %d %s", errno, status, body)
		}
		send.set(nil)
		socket.set(nil)
	}
}

// askOnce sends a request over a new connection and returns the answer.
func askOnce(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	return do(t, r)
}

// errnoBox holds an error. It is safe for concurrent use.
type errnoBox struct {
	mu  sync.Mutex
	err error // mu guards it
}

func (b *errnoBox) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *errnoBox) get() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// P7: check asks the kernel as well, if only some users are allowed.
func TestCheckAsksTheKernel(t *testing.T) {
	t.Parallel()
	arguments := config.ParseArguments([]string{"check"})
	for setting, want := range map[string]bool{"": false, "SIDECAR_ALLOWED_UIDS=1000": true} {
		cfg, err := config.Load(arguments, getenv(newWorld(t).environment(setting)), token.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		s := newSetup(arguments, cfg, nil)
		if got := s.Users != nil; got != want {
			t.Errorf("with %q it asks: %t, want %t", setting, got, want)
		}
		if s.Users != nil && s.Users() != nil {
			t.Error(s.Users())
		}
	}
}
