// Command cost measures what the sidecar costs a pod that it sits idle in, in
// memory, wake-ups, start-up time and bytes of image, and how fast it answers
// under load, beside a bare net/http server in the same run:
//
//	go run ./test/cost                  ends after about 80 seconds
//	go run ./test/cost -minute=10s      with a shorter look at the idle ones
//	go run ./test/cost -load            ends after about 85 seconds
//	go run ./test/cost -load -rounds=1  with a shorter look
//
// It exists because a sidecar is paid for once a pod, so that every mebibyte
// counts by the thousand, and because a figure of one machine says little: the
// ratios hold elsewhere, and the limits are those of the design. Under load it
// fails if a single answer is lost: not in time, not whole, or with credentials
// that are not the client's latest and valid ones.
//
// Everything runs on loopback, several processes of each kind, of which the
// median is told, or under load one for several rounds. It needs Linux, for /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// idleCopies is how many processes of each kind are looked at when idle:
	// enough for a median on a machine that has other things to do.
	idleCopies = 5

	// settleTime lets garbage collection and closing connections, which come
	// after the first answer, pass before the processes count as idle.
	settleTime = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cost: %v\n", err)
		os.Exit(1)
	}
}

// run measures and clears away everything that it made.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	dir, err := os.MkdirTemp("", "irsa-sidecar-cost-")
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
	sidecar := &kind{pkg: "./cmd/sidecar", env: sts.env, path: "/v1/credentials", delay: answerDelay}
	bare := &kind{pkg: "./test/cost/bare", path: "/"}
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

// options are what the flags say.
type options struct {
	load   bool
	rounds int
	window time.Duration
	roots  string
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("cost", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.load, "load", false, "ask the sidecar much, and see that no answer is lost")
	flags.DurationVar(&o.window, "minute", time.Minute, "how long to look at the idle processes")
	flags.IntVar(&o.rounds, "rounds", 5, "how often to ask each server in each way")
	flags.StringVar(&o.roots, "roots", "/etc/ssl/certs/ca-certificates.crt", "the public root certificates, in one `file`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || o.window < time.Second || o.rounds < 1 {
		return nil, errors.New("usage: cost [-minute DURATION, at least 1s] [-roots FILE] or cost -load [-rounds N] [-roots FILE]")
	}
	return &o, nil
}

// kind is a program of which several processes run.
type kind struct {
	pkg       string
	env       []string
	path      string        // that it answers
	delay     time.Duration // of the first answer that is not its fault
	binary    int64         // bytes
	processes []*process
}

// prepare builds the program as the image has it and starts that many processes
// one after the other.
func (k *kind) prepare(ctx context.Context, dir string, copies int) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "irsa-sidecar").Output()
	if err != nil {
		return fmt.Errorf("finding the module irsa-sidecar: %w: run this from inside of it", err)
	}
	binary := filepath.Join(dir, filepath.Base(k.pkg))
	build := exec.CommandContext(ctx, "go", "build", "-C", strings.TrimSpace(string(root)),
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, k.pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", k.pkg, err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	k.binary = info.Size()
	for range copies {
		p, err := start(ctx, binary, k.env, k.path)
		if err != nil {
			return fmt.Errorf("starting %s: %w", k.pkg, err)
		}
		k.processes = append(k.processes, p)
		p.startTime -= k.delay
	}
	return nil
}

// target returns the only process as a server to ask.
func (k *kind) target(name string, expiration func([]byte) (time.Time, error)) target {
	return target{name, k.processes[0].addr, k.path, expiration}
}

// end ends the processes.
func (k *kind) end() error {
	var errs []error
	for _, p := range k.processes {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}
