package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/peer"
	"irsa-sidecar/internal/server"
)

const (
	// refreshTimeout bounds the command: the sidecar answers within ten seconds.
	refreshTimeout = 12 * time.Second

	// maxRefreshAnswer is more than the sidecar says.
	maxRefreshAnswer = 64 << 10
)

// refresh has the sidecar that runs here get new credentials, and prints what came of it.
func refresh(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+cfg.Listen.Loopback.HostPort+config.RefreshPath, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the sidecar does not answer: %w", err)
	}
	defer resp.Body.Close()
	var answer struct{ Message string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRefreshAnswer)).Decode(&answer); err != nil || answer.Message == "" {
		return fmt.Errorf("another process than the sidecar answers on %s: HTTP %d", cfg.Listen.Loopback.HostPort, resp.StatusCode)
	}
	fmt.Fprintln(stdout, oneLine(answer.Message))
	if resp.StatusCode != http.StatusOK {
		return notReadyError{}
	}
	return nil
}

// newRefresh returns who may have refresher get new credentials: the sidecar's own user.
func newRefresh(refresher *credentials.Refresher) server.Refresh {
	finder := new(peer.Finder)
	return server.Refresh{
		Path: config.RefreshPath,
		User: uint32(os.Geteuid()),
		Now:  refresher.Refresh,
		UID: func(r *http.Request) (uint32, error) {
			client, err := netip.ParseAddrPort(r.RemoteAddr)
			local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
			if err != nil || !ok {
				return 0, errors.New("the connection has no addresses")
			}
			return finder.Lookup(unmapped(client), unmapped(local.AddrPort()))
		},
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
