// Command benchmark measures the cost of an idle sidecar (memory, wake-ups, startup
// time and binary size) and its latency under load, each compared with a bare
// net/http server in the same run:
//
//	go run ./test/benchmark                  takes about 80 seconds
//	go run ./test/benchmark -minute=10s      watches the idle processes for 10 seconds
//	go run ./test/benchmark -load            takes about 85 seconds
//	go run ./test/benchmark -load -rounds=1  makes one round
//
// It exists because every pod pays for its sidecar, so every mebibyte counts by the
// thousand, and because a figure from one machine says little: the ratios hold
// elsewhere, and the limits are those of the design. Under load it fails if a
// single answer is lost: late, truncated, or with credentials that have expired or
// are older than those the client already has.
//
// Everything runs on loopback. Idle figures are medians of several processes of
// each kind; under load there is one process, measured for several rounds. It needs
// Linux, for /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"irsa-sidecar/test/harness"
)

const (
	// idleCopies is the number of idle processes of each kind: enough for a
	// median on a busy machine.
	idleCopies = 5

	// settleTime is how long after the first answer the processes count as idle:
	// garbage collection and the closing of connections are over by then.
	settleTime = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "benchmark: %v\n", err)
		os.Exit(1)
	}
}

// run measures, and removes everything that it created.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	dir, err := os.MkdirTemp("", "irsa-sidecar-benchmark-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sts, err := startSTS(dir, o.roots)
	if err != nil {
		return err
	}
	defer sts.Close()
	copies := idleCopies
	if o.load {
		copies = 1
		sts.standin.SetGrantLifetime(grantLifetime)
	}
	sidecar := &kind{source: "cmd/sidecar", env: sts.env, path: "/v1/credentials", delay: answerDelay}
	bare := &kind{source: "test/benchmark/bare", path: "/"}
	defer func() { err = errors.Join(err, sidecar.end(), bare.end()) }()
	for _, k := range []*kind{sidecar, bare} {
		if err := k.prepare(ctx, dir, copies); err != nil {
			return err
		}
	}
	if o.load {
		return measureLoad(ctx, stdout, sts, sidecar.target("sidecar", sts.expiration), bare.target("bare net/http", kilobyteExpiration), o.rounds)
	}
	if err := watch(ctx, o.window, slices.Concat(sidecar.processes, bare.processes)); err != nil {
		return err
	}
	return printTable(stdout, sidecar, bare)
}

// options are the values of the flags.
type options struct {
	load   bool
	rounds int
	window time.Duration
	roots  string
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.load, "load", false, "measure under load, and fail if an answer is lost")
	flags.DurationVar(&o.window, "minute", time.Minute, "how long to watch the idle processes")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds per load and server")
	flags.StringVar(&o.roots, "roots", "/etc/ssl/certs/ca-certificates.crt", "the public root certificates, in one `file`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || o.window < time.Second || o.rounds < 1 {
		return nil, errors.New("usage: benchmark [-minute DURATION, at least 1s] [-roots FILE] or benchmark -load [-rounds N] [-roots FILE]")
	}
	return &o, nil
}

// kind is a program of which several processes run.
type kind struct {
	source    string // its directory
	env       []string
	path      string        // of its answer
	delay     time.Duration // of the first answer, caused by STS
	binary    int64         // bytes
	processes []*process
}

// prepare builds the program as for the image and starts that many processes, one
// after the other.
func (k *kind) prepare(ctx context.Context, dir string, copies int) error {
	binary := filepath.Join(dir, filepath.Base(k.source))
	if err := harness.BuildForImage(ctx, binary, k.source); err != nil {
		return err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	k.binary = info.Size()
	for range copies {
		p, err := start(ctx, binary, k.env, k.path)
		if err != nil {
			return fmt.Errorf("starting %s: %w", k.source, err)
		}
		k.processes = append(k.processes, p)
		p.startTime -= k.delay
	}
	return nil
}

// target returns the only process as a target.
func (k *kind) target(name string, expiration func([]byte) (time.Time, error)) target {
	return target{name, k.processes[0].addr, k.path, expiration}
}

// end stops the processes.
func (k *kind) end() error {
	var errs []error
	for _, p := range k.processes {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}
