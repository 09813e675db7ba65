package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/token"
)

// handlers are what the sidecar serves.
type handlers struct {
	container http.Handler // at the ECS address
	instance  http.Handler
	loopback  http.Handler // container, and what the command refresh asks
	admin     http.Handler
}

func newHandlers(ctx context.Context, cfg *config.Config, clients server.Clients, refresher *credentials.Refresher, log *slog.Logger, reg *prometheus.Registry) handlers {
	metrics := server.NewMetrics(reg)
	access := server.ContainerGuard{Path: cfg.Path, Authorization: newAuthorization(cfg, log)}
	instance := server.Instance{
		Role: cfg.Role, Region: cfg.STS.Region, Zone: cfg.Zone, ID: cfg.InstanceID, Domain: cfg.Domain(), V1: cfg.IMDSV1,
	}
	container := server.NewContainerEndpoint(access, clients, server.ContainerCredentials(cfg.Role), refresher, log, metrics)
	return handlers{
		container: container,
		loopback:  server.NewRefresh(newRefresh(refresher), container, metrics),
		instance:  server.NewInstanceEndpoint(instance, clients, refresher, log, metrics),
		admin:     server.NewAdmin(reg, func() error { return readiness(ctx, refresher) }),
	}
}

// newAuthorization returns what clients must send, nil if that is nothing.
func newAuthorization(cfg *config.Config, log *slog.Logger) *server.Authorization {
	switch {
	case cfg.AuthorizationTokenFile != "":
		read := func() (string, error) {
			return config.ReadAuthorizationToken(token.ReadFile, cfg.AuthorizationTokenFile)
		}
		return server.NewReloadedAuthorization(cfg.AuthorizationToken, cfg.AuthorizationTokenFile, read, log)
	case cfg.AuthorizationToken != "":
		return server.NewAuthorization(cfg.AuthorizationToken)
	}
	return nil
}
