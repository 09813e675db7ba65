package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts a shell script and waits until it has printed "started".
func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	err = Await(t.Context(), time.Millisecond, 10*time.Second, func(context.Context) error {
		if log := p.Log(); !strings.Contains(log, "started\n") {
			return errors.New("log: " + log)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStop(t *testing.T) {
	tests := []struct {
		name   string
		script string
		want   string // the state
	}{
		{"handles SIGTERM", `trap 'exit 3' TERM; echo started; while :; do sleep 0.01; done`, "exit status 3"},
		{"dies of SIGTERM", `echo started; exec sleep 60`, "signal: terminated"},
		{"ignores SIGTERM", `trap '' TERM; echo started >&2; exec sleep 60`, "signal: killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, tt.script)
			state, err := p.Stop()
			if err != nil || state.String() != tt.want {
				t.Errorf("%v, %v, want %s", state, err, tt.want)
			}
			if err := syscall.Kill(p.Pid(), 0); err == nil {
				t.Error("it is still running")
			}
		})
	}
}

func TestStopAfterExit(t *testing.T) {
	p := start(t, "echo started; exit 3")
	<-p.Exited()
	if state, err := p.Stop(); err == nil || state.ExitCode() != 3 {
		t.Errorf("%v, %v, want exit status 3 and an error", state, err)
	}
}

func TestReady(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sidecar")
	script := "#!/bin/sh\n[ \"$1\" = ready ] || { echo started; exec sleep 60; }\n[ \"$CREDENTIALS\" = yes ] || { echo none; exit 1; }\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for credentials, want := range map[string]string{"yes": "<nil>", "no": "sidecar ready: want exit status 0, got exit status 1: none"} {
		cmd := exec.Command(program)
		cmd.Env = []string{"CREDENTIALS=" + credentials, "PATH=" + os.Getenv("PATH")}
		p, err := Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		if err := p.Ready(t.Context()); fmt.Sprint(err) != want {
			t.Errorf("credentials %s: %v, want %s", credentials, err, want)
		}
	}
}

func TestAwait(t *testing.T) {
	never := func(context.Context) error { return errors.New("not yet") }
	if err := Await(t.Context(), time.Millisecond, 10*time.Millisecond, never); err == nil || err.Error() != "after 10ms: not yet" {
		t.Errorf("%v, want the latest error", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	cancel(cause)
	if err := Await(ctx, time.Millisecond, time.Minute, never); err != cause {
		t.Errorf("%v, want the cause", err)
	}
	calls := 0
	err := Await(t.Context(), time.Millisecond, time.Minute, func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%v after %d calls, want no error after 3", err, calls)
	}
}

func TestFreeAddresses(t *testing.T) {
	addresses, err := FreeAddresses(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range addresses {
		seen[a] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d different addresses of 20: %q", len(seen), addresses)
	}
}

func TestMetric(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "# HELP up Help.\nup_total 1\nup 2\nrequests{code=\"200\"} 1.5e+09\n")
	}))
	t.Cleanup(srv.Close)
	admin := srv.Listener.Addr().String()
	for series, want := range map[string]float64{"up": 2, `requests{code="200"}`: 1.5e9} {
		if got, err := Metric(t.Context(), admin, series); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", series, got, err, want)
		}
	}
	if got, err := Metric(t.Context(), admin, "requests"); err == nil {
		t.Errorf("requests: %v, want an error", got)
	}
}
