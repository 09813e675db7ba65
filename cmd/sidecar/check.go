package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"irsa-sidecar/internal/check"
	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/peer"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/internal/token"
)

// checkFailedError is what check has found out, and printed.
type checkFailedError struct{ status int }

func (checkFailedError) Error() string { return "check failed" }

// proc is where the kernel shows processes and mounts.
const proc = "/proc"

// runCheck finds out why there are no credentials, beside a sidecar or without one.
func runCheck(ctx context.Context, arguments config.Arguments, getenv func(string) string, stdout io.Writer) error {
	arguments, seen := withServeFlags(arguments, proc)
	cfg, err := config.Load(arguments, getenv, token.ReadFile)
	setup := newSetup(arguments, cfg, err)
	setup.Seen = seen
	var output interface {
		Begin(calls string)
		Result(check.Result)
		End(failed bool)
	} = check.Text{W: stdout, Colour: isTerminal(stdout)}
	if arguments.JSON {
		output = &check.JSON{W: stdout}
	}
	output.Begin(check.Calls(&setup))
	failed := check.Run(ctx, &setup, output.Result)
	output.End(failed)
	switch {
	case err != nil:
		return checkFailedError{2}
	case failed:
		return checkFailedError{1}
	}
	return nil
}

// withServeFlags adds the flags of the sidecar, which kubectl exec does not: it is the first
// process of its container. It says what the reader must know about flags.
func withServeFlags(arguments config.Arguments, proc string) (_ config.Arguments, seen string) {
	if arguments.Offline {
		return arguments, ""
	}
	line, _ := os.ReadFile(filepath.Join(proc, "1/cmdline")) // without it, it is another program
	serving, ok := serveArguments(line)
	if !ok {
		return arguments, "flags in the args of the sidecar's container are not seen from here: repeat them after check"
	}
	arguments, taken := arguments.Beside(serving)
	if len(taken) > 0 {
		seen = "with the flags of process 1: --" + strings.Join(taken, ", --")
	}
	return arguments, seen
}

// serveArguments returns the arguments of a command line, as it is in /proc, if it is that of
// a sidecar that serves.
func serveArguments(line []byte) (arguments config.Arguments, ok bool) {
	words := strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
	if filepath.Base(words[0]) != "sidecar" {
		return config.Arguments{}, false
	}
	arguments = config.ParseArguments(words[1:])
	return arguments, arguments.Command == config.Serve && arguments.Valid()
}

// newSetup returns what is checked. Without valid settings it has what there is.
func newSetup(arguments config.Arguments, cfg *config.Config, wrong error) check.Setup {
	s := check.Setup{
		Offline:     arguments.Offline,
		PodIdentity: cfg.Source == config.PodIdentity,
		Source:      cfg.Source,
		Why:         cfg.Why,
		TokenFile:   cfg.TokenFile,
		ReadToken:   token.File(cfg.TokenFile).GetIdentityToken,
		ParseHeader: func(jwt []byte) (check.Header, error) { h, err := token.ParseHeader(jwt); return check.Header(h), err },
		ParseClaims: func(jwt []byte) (check.Claims, error) { c, err := token.ParseClaims(jwt); return check.Claims(c), err },
		Proc:        proc,
		Now:         time.Now,
		Role:        cfg.Role,
		Region:      cfg.STS.Region,
		Partition:   cfg.RegionPartition(),
		SessionName: cfg.SessionName,
		Duration:    cfg.Duration,
		Longest:     cfg.LongestDuration,
		Policy:      cfg.Policy,
		Policies:    len(cfg.PolicyARNs),
		Mesh:        check.InMesh,
		Issuer:      sts.NewTransport(cfg.STS.RootCAs),
		Metadata:    "http://169.254.169.254",
	}
	if e, ok := errors.AsType[*config.Error](wrong); ok {
		s.Settings, s.Hints = e.Problems, e.Hints
		return s
	}
	s.Reach, s.Assume, s.Identity = askers(cfg)
	s.Fallback = fallbacksOf(cfg)
	s.Endpoints = endpointsOf(cfg)
	if agent, err := url.Parse(cfg.AgentURL); err == nil {
		s.Agent = agent.Host + ":80"
	}
	if cfg.AllowedUIDs != nil {
		s.Users = new(peer.Finder).Verify
	}
	return s
}

// endpointsOf returns the endpoints that are on.
func endpointsOf(cfg *config.Config) []check.Endpoint {
	container := func(address string) check.Endpoint {
		return check.Endpoint{Address: address, Ask: func(ctx context.Context) error { return askContainer(ctx, cfg, address) }}
	}
	all := []check.Endpoint{container(cfg.Listen.Loopback.HostPort)}
	if address := cfg.Listen.ECS.HostPort; address != "" {
		all = append(all, container(address))
	}
	if address := cfg.Listen.IMDS.HostPort; address != "" {
		all = append(all, check.Endpoint{Address: address, Ask: func(ctx context.Context) error { return askInstance(ctx, cfg) }})
	}
	return all
}

// isTerminal reports whether somebody reads what is written to w at once, in colour.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
