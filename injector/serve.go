package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"irsa-sidecar/injector/certificate"
	"irsa-sidecar/injector/cluster"
	"irsa-sidecar/injector/policy"
	"irsa-sidecar/injector/webhook"
)

const (
	// After SIGTERM new requests are still answered for as long as other nodes may take to
	// remove the pod from the Service.
	drain = 5 * time.Second
	// Then those that have begun are finished. The API server waits at most 5 s for one.
	shutdownTimeout = 6 * time.Second
	namespaceFile   = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// options are the flags of serve.
type options struct {
	listen, metrics, certDir string
}

func serve(ctx context.Context, flags *flag.FlagSet, load func() (*policy.Policy, error), args []string, stderr io.Writer) error {
	var o options
	flags.StringVar(&o.listen, "listen", ":9443", "")
	flags.StringVar(&o.metrics, "metrics", ":9440", "")
	flags.StringVar(&o.certDir, "cert-dir", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	klog.SetSlogLogger(log) // the library's
	p, err := load()
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	return o.serve(ctx, p, config, log)
}

// serve serves until ctx is done, and then drains.
func (o options) serve(ctx context.Context, p *policy.Policy, config *rest.Config, log *slog.Logger) error {
	core, err := cluster.Client(config, "")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	source, err := o.source(ctx, group, config, core, log)
	if err != nil {
		return err
	}
	// They go on while the servers drain.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	objects := cluster.NewObjects(core, log)
	group.Go(func() error { return objects.Run(background) })

	reg := registry(source, objects)
	var draining atomic.Bool
	webhooks := server(webhook.Handler(p, objects, webhook.NewMetrics(reg), log), log)
	webhooks.TLSConfig = &tls.Config{GetCertificate: source.GetCertificate, MinVersion: tls.VersionTLS12}
	admin := server(adminHandler(reg, source, objects, &draining), log)
	if err := start(group, o, webhooks, admin); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	log.Info("serving", "listen", o.listen, "metrics", o.metrics)
	group.Go(func() error {
		defer stop()
		<-ctx.Done()
		draining.Store(true)
		log.Info("draining", "for", drain.String())
		<-time.After(drain)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return errors.Join(webhooks.Shutdown(ctx), admin.Close())
	})
	return group.Wait()
}

// source returns the certificate of the flags.
func (o options) source(ctx context.Context, group *errgroup.Group, config *rest.Config, core rest.Interface, log *slog.Logger) (certificate.Source, error) {
	if o.certDir != "" {
		return certificate.NewFiles(o.certDir, log), nil
	}
	admission, err := cluster.Client(config, "admissionregistration.k8s.io")
	if err != nil {
		return nil, err
	}
	namespace, err := os.ReadFile(namespaceFile)
	if err != nil {
		return nil, err
	}
	own := certificate.NewOwn(core, admission, strings.TrimSpace(string(namespace)), log, time.Now)
	group.Go(func() error { return own.Run(ctx) })
	return own, nil
}

// start opens both listeners and serves on them.
func start(group *errgroup.Group, o options, webhooks, admin *http.Server) error {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	adminListener, err := net.Listen("tcp", o.metrics)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	for _, run := range []func() error{
		func() error { return webhooks.ServeTLS(listener, "", "") },
		func() error { return admin.Serve(adminListener) },
	} {
		group.Go(func() error {
			if err := run(); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

func server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than the API server keeps idle connections
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func registry(source certificate.Source, objects *cluster.Objects) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irsa_sidecar_injector_certificate_expiration_timestamp_seconds",
		Help: "When the webhook's certificate expires, or 0 without one.",
	}, func() float64 {
		if t := source.Expires(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irsa_sidecar_injector_service_accounts",
		Help: "Service accounts that are known without asking the API server.",
	}, func() float64 { return float64(objects.Accounts()) })
	return reg
}

// adminHandler serves metrics, /healthz, which is always ok, and /readyz, which says what is
// missing.
func adminHandler(reg *prometheus.Registry, source certificate.Source, objects *cluster.Objects, draining *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		problem := source.Ready()
		if !objects.Synced() {
			problem = errors.Join(problem, errors.New("service accounts and namespaces have not been read yet"))
		}
		if draining.Load() {
			problem = errors.New("shutting down")
		}
		if problem != nil {
			http.Error(w, problem.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
