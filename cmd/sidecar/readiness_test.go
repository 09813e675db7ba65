package main

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/token"
)

// P8: from the signal on it is not ready, although it has credentials.
func TestIsNotReadyOnceItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	cfg, err := config.Load(config.ParseArguments(nil), getenv(w.environment()), token.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogger(io.Discard, cfg.LogLevel)
	reg := newRegistry(newLogWriter(io.Discard))
	refresher := newRefresher(cfg, log, reg)
	// The process ends, and the loop goes on: nothing else makes it unready.
	process, end := context.WithCancel(t.Context())
	defer end()
	admin := newHandlers(process, cfg, server.Clients{}, refresher, log, reg).admin
	go refresher.Run(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := refresher.Retrieve(ctx); err != nil {
		t.Fatal(err)
	}
	readyz := func() (status int, body string) {
		answer := httptest.NewRecorder()
		admin.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		return answer.Code, answer.Body.String()
	}
	if status, body := readyz(); status != 200 {
		t.Errorf("before the end: got %d %q, want 200", status, body)
	}
	end()
	if status, body := readyz(); status != 503 || !strings.HasPrefix(body, "not ready") {
		t.Errorf("after the end: got %d %q, want 503", status, body)
	}
}
