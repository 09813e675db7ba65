package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/token"
)

// serve runs the sidecar until ctx is done.
func serve(ctx context.Context, cfg *config) error {
	// Before anything that takes time: a refused connection is fatal to the
	// SDKs for JavaScript and Java, a slow answer is not.
	listeners, err := listen(cfg)
	if err != nil {
		return err
	}
	reg := newRegistry()
	refresher := credentials.NewRefresher(newProvider(cfg, reg), cfg.duration, cfg.log, reg)
	watcher := token.NewWatcher(cfg.tokenFile, cfg.log, reg)
	requests := server.NewMetrics(reg)
	container := server.NewDoor(cfg.guard, server.ContainerCredentials(cfg.role), refresher, cfg.log, requests)
	metadata := server.NewMetadata(server.Metadata{Role: cfg.role, Region: cfg.sts.Region, V1: cfg.imdsV1}, refresher, cfg.log, requests)
	admin := server.NewAdmin(reg, func() error { return readiness(ctx, refresher) })

	cfg.log.Info("sidecar started", append(listeners.attributes(),
		"role_arn", cfg.role.String(), "session_name", cfg.sessionName, "region", cfg.sts.Region, "build", readBuild().String())...)
	warn(cfg)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return refresher.Run(gctx) })
	g.Go(func() error { return watcher.Watch(gctx, refresher.Wake) })
	g.Go(func() error {
		return server.Serve(gctx, listeners.admin, admin, server.NewLimit(server.AdminConnections), cfg.log)
	})
	limit := server.NewLimit(server.DoorConnections)
	for _, ln := range append(listeners.loopback, listeners.ecs...) {
		g.Go(func() error { return server.Serve(gctx, ln, container, limit, cfg.log) })
	}
	for _, ln := range listeners.imds {
		g.Go(func() error { return server.Serve(gctx, ln, metadata, limit, cfg.log) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	cfg.log.Info("sidecar ended")
	if _, err := refresher.Retrieve(gctx); err != nil {
		return &unservedError{err}
	}
	return nil
}

// warn tells what is allowed and unwise.
func warn(cfg *config) {
	if isPlain(cfg.sts.Endpoint) {
		cfg.log.Warn("STS is asked without TLS", "endpoint", cfg.sts.Endpoint,
			"hint", "who can read that traffic has the token and the credentials: use https in --sts-endpoint")
	}
	if cfg.listen.imds.IsValid() && (cfg.guard.Authorization != nil || cfg.guard.Path != defaultPath) {
		cfg.log.Warn("the instance metadata endpoint is open to every container of the pod",
			"hint", "its clients can send neither an authorization token nor a path of yours: to keep containers out, leave out --imds-listen")
	}
}

// newProvider returns what asks STS.
func newProvider(cfg *config, reg prometheus.Registerer) aws.CredentialsProvider {
	client := credentials.NewSTS(cfg.sts, reg)
	return stscreds.NewWebIdentityRoleProvider(client, cfg.role.String(), cfg.tokenFile, func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = cfg.sessionName
		o.Duration = cfg.duration
		if cfg.policy != "" {
			o.Policy = &cfg.policy
		}
		for _, policy := range cfg.policyARNs {
			o.PolicyARNs = append(o.PolicyARNs, types.PolicyDescriptorType{Arn: &policy})
		}
	})
}

// readiness returns nil while there are credentials to serve and ctx, whose end
// is that of the process, has not ended.
func readiness(ctx context.Context, provider aws.CredentialsProvider) error {
	if ctx.Err() != nil {
		return errors.New("ending")
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	_, err := provider.Retrieve(now)
	return err
}

func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	b := readBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "irsa_sidecar_build_info",
		Help:        "1, labelled with what the binary was built from.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "goversion": b.goVersion},
	})
	info.Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
