package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

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
	doors, err := listenLoopback(cfg)
	if err != nil {
		return err
	}
	adminListener, err := net.Listen("tcp", cfg.adminListen)
	if err != nil {
		return listenError(err, "--admin-listen")
	}
	reg := newRegistry()
	refresher := credentials.NewRefresher(newProvider(cfg, reg), cfg.duration, cfg.log, reg)
	watcher := token.NewWatcher(cfg.tokenFile, cfg.log, reg)
	door := server.NewDoor(cfg.guard, server.ContainerCredentials(cfg.role), refresher, cfg.log, server.NewMetrics(reg))
	admin := server.NewAdmin(reg, func() error { return readiness(ctx, refresher) })

	cfg.log.Info("sidecar started", "listen", doors[0].Addr().String(), "admin_listen", adminListener.Addr().String(),
		"role_arn", cfg.role.String(), "session_name", cfg.sessionName, "region", cfg.sts.Region, "build", readBuild().String())
	if isPlain(cfg.sts.Endpoint) {
		cfg.log.Warn("STS is asked without TLS", "endpoint", cfg.sts.Endpoint,
			"hint", "who can read that traffic has the token and the credentials: use https in --sts-endpoint")
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return refresher.Run(gctx) })
	g.Go(func() error { return watcher.Watch(gctx, refresher.Wake) })
	g.Go(func() error {
		return server.Serve(gctx, adminListener, admin, server.NewLimit(server.AdminConnections), cfg.log)
	})
	limit := server.NewLimit(server.DoorConnections)
	for _, ln := range doors {
		g.Go(func() error { return server.Serve(gctx, ln, door, limit, cfg.log) })
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

// listenLoopback listens on 127.0.0.1 and, where there is IPv6, on [::1]:
// Node.js 18 and later may turn localhost into that.
func listenLoopback(cfg *config) ([]net.Listener, error) {
	v4, err := net.Listen("tcp4", cfg.listen.String())
	if err != nil {
		return nil, listenError(err, "--listen")
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", net.JoinHostPort(netip.IPv6Loopback().String(), strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		cfg.log.Info("no IPv6 loopback, serving on 127.0.0.1 only", "cause", err.Error())
		return []net.Listener{v4}, nil
	case err != nil:
		v4.Close()
		return nil, listenError(err, "--listen")
	}
	return []net.Listener{v4, v6}, nil
}

// listenError says what to do about an address that cannot be listened on.
func listenError(err error, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another process in this pod has the port (on the node, with hostNetwork): end it or set %s", err, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && flag == "--listen": // which is 127.0.0.1
		return fmt.Errorf("%w: the loopback interface of this pod is down: the container runtime sets it up, by the CNI plug-in loopback: see that the node has it, and create the pod anew", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this pod does not have that address: correct %s", err, flag)
	}
	return fmt.Errorf("%w: correct %s", err, flag)
}
