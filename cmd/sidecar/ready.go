package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"irsa-sidecar/internal/config"
)

// readyPeriod is the time between requests while ready waits.
const readyPeriod = 250 * time.Millisecond

// ready asks the container credentials endpoint as a client would, until it answers with
// credentials or cfg.Wait is over. Then it prints the latest reason in one line and
// returns a notReadyError.
func ready(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	deadline := time.Now().Add(cfg.Wait)
	tick := time.NewTicker(readyPeriod)
	defer tick.Stop()
	for {
		reason := askContainer(ctx, cfg, cfg.Listen.Loopback.HostPort)
		if reason == nil {
			return nil
		}
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			fmt.Fprintln(stdout, reason) // a failure cannot be reported anywhere
			return notReadyError{}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
