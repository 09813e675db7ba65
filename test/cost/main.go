// Command cost measures what the sidecar costs a pod that it sits idle in, in
// memory, wake-ups, start-up time and bytes of image, beside a bare net/http
// server in the same run:
//
//	go run ./test/cost                 ends after about 80 seconds
//	go run ./test/cost -minute=10s     with a shorter look at the idle ones
//
// It exists because a sidecar is paid for once a pod, so that every mebibyte
// counts by the thousand, and because a figure of one machine says little: the
// ratios hold elsewhere, and the limits are those of the design.
//
// Everything runs on loopback, several processes of each kind, of which the
// median is told. It needs Linux, for /proc.
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
	// copies is how many processes of each kind are measured: enough for a
	// median on a machine that has other things to do.
	copies = 5

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
	flags := flag.NewFlagSet("cost", flag.ContinueOnError)
	flags.SetOutput(stderr)
	window := flags.Duration("minute", time.Minute, "how long to look at the idle processes")
	roots := flags.String("roots", "/etc/ssl/certs/ca-certificates.crt", "the public root certificates, in one `file`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0 || *window < time.Second:
		return errors.New("usage: cost [-minute DURATION, at least 1s] [-roots FILE]")
	}
	dir, err := os.MkdirTemp("", "irsa-sidecar-cost-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sts, err := startSTS(dir, *roots)
	if err != nil {
		return err
	}
	defer sts.Close()
	sidecar := &kind{pkg: "./cmd/sidecar", env: sts.env, path: "/v1/credentials", delay: answerDelay}
	bare := &kind{pkg: "./test/cost/bare", path: "/"}
	defer func() { err = errors.Join(err, sidecar.end(), bare.end()) }()
	for _, k := range []*kind{sidecar, bare} {
		if err := k.prepare(ctx, dir); err != nil {
			return err
		}
	}
	if err := watch(ctx, *window, slices.Concat(sidecar.processes, bare.processes)); err != nil {
		return err
	}
	return printTable(stdout, sidecar, bare)
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

// prepare builds the program as the image has it and starts its processes one
// after the other.
func (k *kind) prepare(ctx context.Context, dir string) error {
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

// end ends the processes.
func (k *kind) end() error {
	var errs []error
	for _, p := range k.processes {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}
