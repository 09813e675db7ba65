// Command conformance runs real releases of AWS SDKs, and of programs with credential
// chains of their own, against the real sidecar, each in its own process, and records how
// they behave.
//
// The sidecar promises that "your old SDK works, unchanged". Reading an SDK's
// source is not enough to check that: the behaviour of twenty releases on the wire
// differed from what their source suggested.
//
// Start it with the script run in this directory. Each line of releases.txt is a
// release. The directory clients contains the drivers, the programs that use the
// SDKs. Verdicts are recorded in results.json, from which docs/compatibility is
// generated, together with templates, findings and programs.txt.
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

// options are the parsed command line.
type options struct {
	list   bool   // print the releases
	quick  bool   // only the quick releases and the fast cases
	client string // only releases whose name contains this
	name   string // only this case
	update bool   // write the verdicts to results.json and docs/compatibility
	docs   bool   // only check that docs/compatibility is up to date, or write it
	record bool   // record what the releases send, instead of verdicts
	logs   bool   // print what sidecar and client write, case by case
	wrong  bool   // test sidecars that are wrong
	fault  string // the name of a fault
	inside bool   // this process has its own namespaces: test one release
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.list, "list", false, "print the releases, one per line: language package version")
	flags.BoolVar(&o.quick, "quick", false, "run only the releases marked quick (or those selected by --client), and only the fast cases")
	flags.StringVar(&o.client, "client", "", "run only the releases whose `\"language package version\"` contains this text")
	flags.StringVar(&o.name, "case", "", "run only the case with this name")
	flags.BoolVar(&o.update, "update", false, "write results.json and docs/compatibility instead of comparing with results.json")
	flags.BoolVar(&o.docs, "docs", false, "only check that docs/compatibility matches results.json and that requests of every release are recorded, or with --update write docs/compatibility")
	flags.BoolVar(&o.record, "record", false, "record the requests that the releases send, in internal/server/testdata/requests")
	flags.BoolVar(&o.logs, "logs", false, "print what the sidecar and the release write, case by case")
	flags.BoolVar(&o.wrong, "wrong", false, "test sidecars that are wrong, with the releases marked witness (or those selected by --client), and fail if the verdicts are as recorded")
	flags.BoolVar(&o.inside, "inside", false, "for internal use")
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
	suite, err := newSuite(ctx, getenv, stdout, stderr)
	if err != nil {
		return err
	}
	switch {
	case o.docs && o.update:
		return suite.writeDocs()
	case o.docs:
		return errors.Join(suite.checkDocs(), suite.checkRequests())
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
