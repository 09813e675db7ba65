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

// refreshTimeout bounds the command: the sidecar answers within ten seconds.
const refreshTimeout = 12 * time.Second

// refresh has the sidecar that runs here get new credentials, and prints what came of it.
func refresh(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	resp, err := sendTo(ctx, http.MethodPost, "http://"+cfg.Listen.Loopback.HostPort+config.RefreshPath, http.Header{})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Message string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, askAnswer)).Decode(&answer); err != nil || answer.Message == "" {
		return otherProcess(resp)
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
