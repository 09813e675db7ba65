package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// Errors of accept(2), of all kinds and on every listener, stop nothing, and are logged
// once for each listener: P1, P4, P8.
func TestFaultAccept(t *testing.T) {
	t.Parallel()
	failures := failAccepts(t)
	w := newShortWorld(t)
	p := start(t, w.environment("SIDECAR_ECS_LISTEN=127.0.0.1:0", "SIDECAR_IMDS_LISTEN=127.0.0.1:0"))
	o := observe(t, w, p)
	o.waitForCredentials(t)
	o.waitForRefresh(t)
	o.waitForRefresh(t)
	o.end(t)
	listeners := 5
	if strings.Contains(p.log.String(), "no IPv6 loopback") {
		listeners--
	}
	counts := failures()
	if len(counts) != listeners {
		t.Errorf("accept failed on %d listeners, want %d", len(counts), listeners)
	}
	if most := slices.Max(slices.Collect(maps.Values(counts))); most < len(acceptErrors) {
		t.Errorf("accept failed %d times at most on a listener, want each of %d errors", most, len(acceptErrors))
	}
	if n := strings.Count(p.log.String(), "accepting a connection failed"); n != listeners {
		t.Errorf("%d warnings, want %d", n, listeners)
	}
}
