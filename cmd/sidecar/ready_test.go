package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// With --wait a probe waits for credentials, so that it does not have to run often.
func TestReadyWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"token"`)
	begin := time.Now()
	if status, output := p.ready(t, "--wait=500ms"); status != 1 || !strings.HasPrefix(output, "token: ") || strings.Count(output, "\n") != 1 {
		t.Errorf("without a token: exit status %d, output %q", status, output)
	}
	if waited := time.Since(begin); waited < 500*time.Millisecond {
		t.Errorf("waited only %v", waited)
	}
	published := time.AfterFunc(time.Second, func() { w.publish(t) })
	defer published.Stop()
	if status, output := p.ready(t, "--wait=20s"); status != 0 || output != "" {
		t.Errorf("with a token: exit status %d, output %q", status, output)
	}
}

func TestReadyWithoutASidecar(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for url, want := range map[string]string{
		other.URL:  "another process than the sidecar answers on ",
		closed.URL: "the sidecar does not answer: dial tcp ",
	} {
		cmd := command(t, newWorld(t).environment("SIDECAR_PATH=/hunter2", "SIDECAR_LISTEN="+strings.TrimPrefix(url, "http://")), "ready")
		if status, output := outcome(cmd); status != 1 || !strings.HasPrefix(output, want) || strings.Contains(output, "hunter2") {
			t.Errorf("exit status %d, output %q, want 1 and %q", status, output, want)
		}
	}
}

// The error is notReadyError, which exit does not write to the termination log: that
// file is the sidecar's, not a probe's.
func TestReadyWithoutStdout(t *testing.T) {
	_, closed := io.Pipe()
	closed.Close()
	environment := newWorld(t).environment("SIDECAR_LISTEN=127.0.0.1:1")
	err := run(t.Context(), []string{"ready"}, getenv(environment), closed, newLogWriter(io.Discard))
	if !errors.Is(err, notReadyError{}) {
		t.Errorf("got %v, want %v", err, notReadyError{})
	}
}

// The answer is as long as STS wants, within bounds.
func TestReadyReadsLongAnswers(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]int{1 << 10: 0, 64 << 10: 0, 6 * 256 << 10: 0, 3 << 20: 1} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"Token":"`+strings.Repeat("t", length)+`","AccessKeyId":"ASIAEXAMPLE"}`)
		}))
		defer srv.Close()
		cmd := command(t, newWorld(t).environment("SIDECAR_LISTEN="+strings.TrimPrefix(srv.URL, "http://")), "ready")
		if status, output := outcome(cmd); status != want {
			t.Errorf("with a token of %d bytes: exit status %d, output %q, want %d", length, status, output, want)
		}
	}
}
