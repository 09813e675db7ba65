package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/token"
)

// serve runs the sidecar until ctx is done.
func serve(ctx context.Context, cfg *config.Config, log *slog.Logger, written *logWriter) error {
	// Before anything that takes time: a refused connection is fatal to the SDKs for
	// JavaScript and Java, a slow answer is not.
	listeners, err := openListeners(cfg.Listen, log)
	if err != nil {
		return err
	}
	clients, identify, err := newClients(cfg, log)
	if err != nil {
		return err
	}
	reg := newRegistry(written)
	refresher := newRefresher(cfg, log, reg)
	watcher := token.NewWatcher(token.File(cfg.TokenFile), log, reg)
	handlers := newHandlers(ctx, cfg, clients, refresher, log, reg)

	log.Info("sidecar started", slices.Concat(listeners.attributes(), sourceAttributes(cfg), allowedAttributes(cfg), []any{"build", readBuild().String()})...)
	warn(cfg, log)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return refresher.Run(gctx) })
	g.Go(func() error { return watcher.Watch(gctx, refresher.Wake) })
	listeners.serve(gctx, g, handlers, identify, log)
	err = g.Wait()
	clients.Log.Flush() // with what was answered last
	if err != nil {
		return err
	}
	log.Info("sidecar stopped")
	if _, err := refresher.Current(); err != nil {
		return &noCredentialsError{err}
	}
	return nil
}

// warn logs what is allowed and unwise.
func warn(cfg *config.Config, log *slog.Logger) {
	if cfg.STS.IsPlaintext() {
		log.Warn("STS is called without TLS", "endpoint", cfg.STS.Endpoint,
			"hint", "anyone who can read that traffic has the token and the credentials: use https in --sts-endpoint")
	}
	if cfg.Listen.IMDS.HostPort != "" && cfg.AllowedUIDs == nil && (cfg.AuthorizationToken != "" || !cfg.HasDefaultPath()) {
		log.Warn("the instance metadata endpoint is open to every container of the pod",
			"hint", "its clients can send neither an authorization token nor a secret path: to keep containers out, set --allowed-uids or leave out --imds-listen")
	}
}

// readiness returns nil while there are credentials to serve and ctx, whose end is the
// end of the process, is not done.
func readiness(ctx context.Context, refresher *credentials.Refresher) error {
	if ctx.Err() != nil {
		return errors.New("shutting down")
	}
	_, err := refresher.Current()
	return err
}

func newRegistry(written *logWriter) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	b := readBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "irsa_sidecar_build_info",
		Help:        "1, labelled with the version, commit and Go version of the binary.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "goversion": b.goVersion},
	})
	info.Set(1)
	reg.MustRegister(info, written.dropped, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
