// Command conformance runs real releases of AWS SDKs, as processes of their
// own, against the real sidecar, and notes how each of them behaves.
//
// It exists because the promise of the sidecar is "your old SDK works,
// unchanged", and an SDK's source is a poor witness: what twenty releases did on
// the wire differed from what was read out of them.
//
// It is started by the script run beside it. Each release is a line of
// releases.txt; the program that drives it is in clients; what was seen is in
// results.json, and docs/compatibility.md is generated from that.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	list   bool   // print the releases
	quick  bool   // a release and the cases of each that take seconds
	client string // one release only
	name   string // one case only
	update bool   // write what was seen to results.json and docs/compatibility.md
	docs   bool   // only say whether docs/compatibility.md is that of results.json
	inside bool   // this process is in namespaces of its own: try one release
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.list, "list", false, "print the releases, one a line: language package version")
	flags.BoolVar(&o.quick, "quick", false, "only the releases marked quick (or those of --client), and the cases that take seconds")
	flags.StringVar(&o.client, "client", "", "only the release `\"language package version\"`, or those of which that is a part")
	flags.StringVar(&o.name, "case", "", "only the case of that name")
	flags.BoolVar(&o.update, "update", false, "write results.json and docs/compatibility.md instead of comparing with them")
	flags.BoolVar(&o.docs, "docs", false, "only say whether docs/compatibility.md is what results.json makes")
	flags.BoolVar(&o.inside, "inside", false, "used by the command itself")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.inside:
		return inside(ctx, os.Stdin, stdout, stderr)
	}
	suite, err := newSuite(getenv, stdout, stderr)
	if err != nil {
		return err
	}
	if o.docs {
		return suite.checkDocs()
	}
	releases, err := suite.choose(o)
	if err != nil {
		return err
	}
	if o.list {
		for _, r := range releases {
			fmt.Fprintln(stdout, r)
		}
		return nil
	}
	return suite.run(ctx, releases, o)
}
