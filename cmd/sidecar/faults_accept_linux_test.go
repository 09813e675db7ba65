package main

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Errors of accept(2), of all kinds and on every listener, stop nothing, and are logged
// once for each listener: P1, P4, P8.
func TestFaultAccept(t *testing.T) {
	var failures func() map[int]int
	var p *process
	var launch func(*exec.Cmd) *process
	setup{launch: func(_ *testing.T, cmd *exec.Cmd) *process { return launch(cmd) }, before: func(f *fault) {
		launch, failures = failAccepts(t)
		f.environment = []string{"SIDECAR_ECS_LISTEN=127.0.0.1:0", "SIDECAR_IMDS_LISTEN=127.0.0.1:0"}
	}}.faultTest(t, func(f *fault) {
		p = f.p
		f.waitForRefresh()
	})
	listeners := 5
	if strings.Contains(p.log(), "no IPv6 loopback") {
		listeners--
	}
	counts := failures()
	if len(counts) != listeners {
		t.Errorf("accept failed on %d listeners, want %d", len(counts), listeners)
	}
	if most := slices.Max(slices.Collect(maps.Values(counts))); most < len(acceptErrors) {
		t.Errorf("accept failed %d times at most on a listener, want each of %d errors", most, len(acceptErrors))
	}
	if n := strings.Count(p.log(), "accepting a connection failed"); n != listeners {
		t.Errorf("%d warnings, want %d", n, listeners)
	}
}
