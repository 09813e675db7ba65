// Command demo shows the sidecar's whole job on a machine with only Go installed:
//
//	go run ./test/demo          runs the steps, then keeps running to play with
//	go run ./test/demo --once   runs the steps and exits: with status 0 if every
//	                            step was verified, otherwise with status 1
//
// With --pod-identity, on Linux only, the credentials come from a stand-in for the EKS
// Pod Identity agent instead. It then always exits after the steps: it runs in a network
// namespace of its own, which has the agent's address.
//
// With --sidecar FILE it runs that sidecar, and builds none.
//
// It exists because the real thing takes a cluster, an account and an hour. Here
// STS and the kubelet are stand-ins and an hour is 13 seconds; the sidecar and the
// AWS SDK that it helps are real.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	// By default SIGHUP and SIGPIPE would kill the demo before its clean-up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nFailed: %v\n", err)
		os.Exit(1)
	}
}

// run plays the demo and removes everything that it created.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "exit after the last step")
	podIdentity := flags.Bool("pod-identity", false, "take credentials from the EKS Pod Identity agent; exit after the last step")
	sidecar := flags.String("sidecar", "", "run this `FILE` as the sidecar, and build none")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unknown argument %q: the flags are --once, --pod-identity and --sidecar", flags.Arg(0))
	}
	d := &demo{out: stdout, podIdentity: *podIdentity, built: *sidecar}
	if d.dir = os.Getenv(insideVariable); d.dir != "" {
		d.done = 1 // built outside, where the network is
		return d.run(ctx, true, stderr)
	}
	if d.dir, err = os.MkdirTemp("", "irsa-sidecar-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if d.podIdentity {
		d.headline()(steps()[0].headline)
		if err := d.build(ctx); err != nil {
			return err
		}
		return inNamespace(ctx, d.dir, stdout, stderr)
	}
	return d.run(ctx, *once, stderr)
}

// run plays the demo and stops everything that it started.
func (d *demo) run(ctx context.Context, once bool, stderr io.Writer) (err error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	d.abort = abort
	defer func() {
		if err = errors.Join(err, d.end()); err != nil {
			d.sidecar.printLog(stderr)
		}
	}()
	return d.play(ctx, once)
}

// step is a step of the demo; do also verifies it.
type step struct {
	headline string
	do       func(*demo, context.Context) error
}

func steps() []step {
	return []step{
		{"Build the sidecar and a program with an AWS SDK of July 2019 (aws-sdk-go v1.20.21)", (*demo).build},
		{"Start stand-ins for AWS, with one role and one service account that may have it", (*demo).startAWS},
		{"Publish a token of that service account in a volume, as the kubelet does", (*demo).publishFirst},
		{"Start the sidecar with the variables that the EKS webhook sets", (*demo).startSidecar},
		{"Wait until it has credentials, as a startup probe does", (*demo).awaitReady},
		{"Run the program, which calls GetCallerIdentity", (*demo).startProgram},
		{"Replace the token, as the kubelet does well before the old one expires", (*demo).rotate},
		{"Check that the running program gets credentials renewed with the new token", (*demo).awaitRenewal},
	}
}

func (d *demo) play(ctx context.Context, once bool) error {
	start := time.Now()
	headline := d.headline()
	for _, s := range steps()[d.done:] {
		headline(s.headline)
		if err := s.do(d, ctx); err != nil {
			return err
		}
	}
	if !once {
		headline("Keep running until Ctrl-C, at most an hour")
		if err := d.keep(ctx); err != nil {
			return err
		}
	}
	headline("Stop the program, then the sidecar with SIGTERM, as when a pod terminates")
	if err := d.end(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nEvery step succeeded, in %s.\n", time.Since(start).Round(100*time.Millisecond))
	return nil
}

// headline returns a function that prints numbered headlines.
func (d *demo) headline() func(string) {
	n := d.done
	return func(text string) {
		n++
		fmt.Fprintf(d.out, "\n%d. %s\n", n, text)
	}
}

// say prints a line of evidence.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "   "+format+"\n", args...)
}
