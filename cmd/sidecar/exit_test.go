package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

func TestExit(t *testing.T) {
	two := &config.Error{Problems: []string{"--role-arn: one", "--listen: two"}, Hints: []string{"three"}}
	const twoText = "sidecar: invalid configuration (2 problems):\n  --role-arn: one\n  --listen: two\n  hint: three\n"
	tests := []struct {
		name        string
		err         error
		status      int
		stderr      string
		termination string
	}{
		{name: "SIGTERM", status: 0, termination: "before"},
		{name: "SIGTERM without credentials", err: &noCredentialsError{errors.New("AccessDenied: no")}, status: 0,
			termination: "sidecar: exited without credentials: AccessDenied: no\n"},
		{name: "configuration error", err: two, status: 2, stderr: twoText, termination: twoText},
		{name: "configuration error of a probe", err: &config.Error{Command: config.Ready, Problems: []string{"one"}}, status: 2,
			stderr: "sidecar: invalid configuration (1 problem):\n  one\n", termination: "before"},
		{name: "not ready", err: notReadyError{}, status: 1, termination: "before"},
		{name: "any other error", err: errors.New("port in use"), status: 1, stderr: "sidecar: port in use\n", termination: "sidecar: port in use\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "termination-log")
			if err := os.WriteFile(log, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			if status := exit(tt.err, &stderr, log); status != tt.status || stderr.String() != tt.stderr {
				t.Errorf("got status %d and %q, want %d and %q", status, stderr.String(), tt.status, tt.stderr)
			}
			if got, err := os.ReadFile(log); err != nil || string(got) != tt.termination {
				t.Errorf("termination log: got %q, %v, want %q", got, err, tt.termination)
			}
			os.Remove(log)
			exit(tt.err, io.Discard, log)
			if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the termination log was created: %v", err)
			}
		})
	}
}

func TestExitWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	w.sts.Always(standin.Refuse(403, "AccessDenied", "no"))
	w.publish(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := new(harness.Buffer)
	returned := make(chan error)
	go func() {
		returned <- run(ctx, nil, getenv(w.environment()), io.Discard, newLogWriter(log))
	}()
	for !strings.Contains(log.String(), "AccessDenied") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err, ok := errors.AsType[*noCredentialsError](<-returned); !ok || !strings.HasPrefix(err.reason.Error(), "AccessDenied: no") {
		t.Errorf("got %v, want a noCredentialsError with the reason AccessDenied", err)
	}
}

func TestRequestInFlightIsAnsweredAtShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sts.Always(standin.Hang())
	w.publish(t)
	p := start(t, w.environment())
	conn, err := net.Dial("tcp", p.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answers := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(answers, &http.Request{Method: "HEAD"}); err != nil || resp.StatusCode != 404 {
		t.Fatalf("first request: got %v, %v", resp, err)
	}
	io.WriteString(conn, request)
	time.Sleep(100 * time.Millisecond) // a busy machine may need time to start on it
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	answer, err := io.ReadAll(answers)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 503 ")) || !bytes.HasSuffix(answer, []byte("}")) {
		t.Errorf("request in flight: got %q, %v", answer, err)
	}
}

// A signal that other programs take as a request to read their settings again, and that a
// closed terminal sends, ends nothing.
func TestSIGHUPIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment())
	p.waitForLog(t, "credentials refreshed")
	for range 3 {
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if status, output := p.ready(t); status != 0 {
			t.Errorf("sidecar ready: exit status %d, output %q", status, output)
		}
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}
