package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/listen"
)

// listeners are the sidecar's: for ecs and imds one or none.
type listeners struct {
	loopback []net.Listener
	ecs      []net.Listener
	imds     []net.Listener
	admin    net.Listener
}

// openListeners listens on every address of the configuration. An error ends the
// process, and so closes what is open.
func openListeners(addresses config.Listen, log *slog.Logger) (l listeners, err error) {
	if l.loopback, err = listen.Loopback(addresses.Loopback.HostPort, log); err != nil {
		return l, fmt.Errorf("%s: %w", addresses.Loopback.Setting, err)
	}
	if l.ecs, err = openLinkLocal(addresses.ECS); err != nil {
		return l, err
	}
	if l.imds, err = openLinkLocal(addresses.IMDS); err != nil {
		return l, err
	}
	for i, ln := range l.imds {
		l.imds[i] = listen.WithoutHost(ln)
	}
	if l.admin, err = listen.Any(addresses.Admin.HostPort); err != nil {
		return l, fmt.Errorf("%s: %w", addresses.Admin.Setting, err)
	}
	return l, nil
}

// serve serves handlers until ctx is done, in g. The clients of the admin listener are not
// identified: they need not be in this pod.
func (l listeners) serve(ctx context.Context, g *errgroup.Group, handlers handlers, identify listen.ConnContext, log *slog.Logger) {
	g.Go(func() error {
		return listen.Serve(ctx, l.admin, handlers.admin, listen.NewLimit(listen.AdminConnections), nil, log)
	})
	limit := listen.NewLimit(listen.CredentialsConnections)
	for _, endpoint := range []struct {
		listeners []net.Listener
		handler   http.Handler
	}{{l.loopback, handlers.loopback}, {l.ecs, handlers.container}, {l.imds, handlers.instance}} {
		for _, ln := range endpoint.listeners {
			g.Go(func() error { return listen.Serve(ctx, ln, endpoint.handler, limit, identify, log) })
		}
	}
}

// openLinkLocal listens on address, if there is one.
func openLinkLocal(address config.Address) ([]net.Listener, error) {
	if address.HostPort == "" {
		return nil, nil
	}
	ln, err := listen.LinkLocal(address.HostPort)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address.Setting, err)
	}
	return []net.Listener{ln}, nil
}

// attributes returns the addresses for a log.
func (l listeners) attributes() []any {
	attributes := []any{"listen", l.loopback[0].Addr().String(), "admin_listen", l.admin.Addr().String()}
	for _, ln := range l.ecs {
		attributes = append(attributes, "ecs_listen", ln.Addr().String())
	}
	for _, ln := range l.imds {
		attributes = append(attributes, "imds_listen", ln.Addr().String())
	}
	return attributes
}
