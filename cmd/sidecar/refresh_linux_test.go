package main

import (
	"strings"
	"testing"
	"time"
)

// The command refresh gets new credentials, once in a minute.
func TestRefreshCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment())
	p.waitForLog(t, "credentials refreshed")
	run := func() (status int, output string) {
		out, err := command(t, append(p.environment, "SIDECAR_LISTEN="+p.endpoint), "refresh").Output()
		if err != nil {
			status = 1
		}
		return status, string(out)
	}
	began := time.Now()
	if status, output := run(); status != 0 || output != "there are new credentials\n" {
		t.Errorf("status %d, %q after %v", status, output, time.Since(began))
	}
	if n := len(w.sts.Credentials()); n != 2 {
		t.Errorf("%d credentials were granted, want 2", n)
	}
	if status, output := run(); status != 1 || !strings.HasPrefix(output, "there was a refresh less than a minute ago") {
		t.Errorf("status %d, %q", status, output)
	}
	if n := len(w.sts.Requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
