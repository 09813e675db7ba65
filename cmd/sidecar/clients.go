package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/listen"
	"irsa-sidecar/internal/peer"
	"irsa-sidecar/internal/server"
)

// newClients returns what endpoints do about who asks, and how each connection's client is
// identified: nil if nobody wants to know.
//
// If only some users may have credentials, and the kernel cannot say which user asks, it
// fails: nobody would ever get any.
func newClients(cfg *config.Config, log *slog.Logger) (clients server.Clients, identify listen.ConnContext, err error) {
	if cfg.AllowedUIDs == nil && !cfg.AccessLog {
		return server.Clients{}, nil, nil
	}
	finder := new(peer.Finder)
	err = finder.Verify()
	switch {
	case err != nil && cfg.AllowedUIDs != nil:
		return server.Clients{}, nil, fmt.Errorf("--allowed-uids (SIDECAR_ALLOWED_UIDS): this kernel does not say which user a client is: %w: unset it, and keep containers out with a secret path or an authorization token", err)
	case err != nil:
		log.Warn("access log without user ids: this kernel does not say which user a client is", "error", err.Error())
	}
	clients.UID = peer.UID
	if cfg.AllowedUIDs != nil {
		// The sidecar's own is that of the commands in its container, such as ready.
		clients.Allowed = append(slices.Clone(cfg.AllowedUIDs), uint32(os.Geteuid()))
	}
	if cfg.AccessLog {
		clients.Log = server.NewAccessLog(log)
	}
	return clients, finder.Identify, nil
}

// allowedAttributes returns who may have credentials, for a log; nothing if everybody may.
func allowedAttributes(cfg *config.Config) []any {
	if cfg.AllowedUIDs == nil {
		return nil
	}
	return []any{"allowed_uids", cfg.AllowedUIDs}
}
