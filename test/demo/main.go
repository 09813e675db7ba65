// Command demo shows the whole of the sidecar's job on one machine on which
// nothing is installed but Go:
//
//	go run ./test/demo          show it, then keep running to be played with
//	go run ./test/demo --once   show it and end: with status 0 if every step
//	                            really happened, else with 1
//
// It exists because that job takes a cluster, an account and an hour to be seen
// for real. Here STS and the kubelet are stand-ins and an hour is 13 seconds;
// the sidecar and the AWS SDK that it helps are the real ones.
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
	// Of these, SIGPIPE and SIGHUP would end the demo without its clean-up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nFailed: %v\n", err)
		os.Exit(1)
	}
}

// run plays the demo and clears away everything that it made.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "end after the last step")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unknown argument %q: there is only --once", flags.Arg(0))
	}
	dir, err := os.MkdirTemp("", "irsa-sidecar-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	d := &demo{out: stdout, dir: dir, abort: abort}
	defer func() {
		if err = errors.Join(err, d.end()); err != nil {
			d.sidecar.printLog(stderr)
		}
	}()
	return d.play(ctx, *once)
}

// step is one thing that happens, and is checked to have happened.
type step struct {
	headline string
	do       func(*demo, context.Context) error
}

func steps() []step {
	return []step{
		{"Build the sidecar, and a program with an AWS SDK of July 2019 (aws-sdk-go v1.20.21)", (*demo).build},
		{"Stand in for AWS: an STS with one role, which trusts one service account", (*demo).startSTS},
		{"Publish a token of that service account in a volume, as the kubelet does", (*demo).publishFirst},
		{"Start the sidecar with the variables that the EKS webhook sets", (*demo).startSidecar},
		{"Wait until it has credentials, as a startup probe does", (*demo).awaitReady},
		{"Run the program, and let it ask AWS who it is", (*demo).startProgram},
		{"Replace the token, as the kubelet does well before the old one expires", (*demo).rotate},
		{"See the credentials renewed with the new token, under the running program", (*demo).awaitRenewal},
	}
}

func (d *demo) play(ctx context.Context, once bool) error {
	start := time.Now()
	headline := d.headline()
	for _, s := range steps() {
		headline(s.headline)
		if err := s.do(d, ctx); err != nil {
			return err
		}
	}
	if !once {
		headline("Keep running until Ctrl-C, for an hour at most")
		if err := d.keep(ctx); err != nil {
			return err
		}
	}
	headline("End the program, and then the sidecar with SIGTERM, as a pod ends")
	if err := d.end(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nAll of it happened, in %s.\n", time.Since(start).Round(100*time.Millisecond))
	return nil
}

// headline returns a function that prints numbered headlines.
func (d *demo) headline() func(string) {
	n := 0
	return func(text string) {
		n++
		fmt.Fprintf(d.out, "\n%d. %s\n", n, text)
	}
}

// say prints a line of evidence.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "   "+format+"\n", args...)
}

// until looks, once each period, whether something has come about, which is when
// look returns nil. It returns look's latest error once the limit is over, or why
// ctx is done. look must end by itself.
func until(ctx context.Context, period, limit time.Duration, look func(context.Context) error) error {
	start := time.Now()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		err := look(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(start) > limit:
			return fmt.Errorf("after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
