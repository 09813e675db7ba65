// Command mutants breaks each promise of docs/guarantees.md on purpose and checks that a
// test which the document links for that promise fails. Every patch in this directory is a
// mutant; its name begins with the promise that it breaks.
//
//	test/mutants/run               tries all of them
//	test/mutants/run P3 P5-every   tries those whose names begin with a prefix
//	test/mutants/run -record       tries them, and writes into each patch which test failed
//	test/mutants/run -unit         leaves out those that a test of the whole program catches,
//	                               which take most of the time
//	test/mutants/run -part 1/3     tries every third, beginning with the second
//
// It exists because a test that cannot fail proves nothing, and reading it does not show
// that. It fails if a mutant survives, or if the test that catches one fails without it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

const document = "docs/guarantees.md"

// atATime is how many mutants are tried at a time: the tests of faults mostly wait.
const atATime = 2

func main() {
	record := flag.Bool("record", false, "write into each patch which test caught it")
	unit := flag.Bool("unit", false, "leave out those that a test of the whole program catches")
	part := flag.String("part", "0/1", "try only the mutants whose place is `K/N`: K modulo N")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, flag.Args(), *record, *unit, *part, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}

// run tries the mutants whose names begin with one of prefixes, or all, and of those one part.
func run(ctx context.Context, prefixes []string, record, unit bool, part string, stdout io.Writer) error {
	mutants, err := readMutants("test/mutants", prefixes)
	if err != nil {
		return err
	}
	if unit {
		mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return strings.HasPrefix(m.caught.pkg, "cmd/") })
	}
	if mutants, err = onlyPart(mutants, part); err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	links := parseLinks(string(text))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atATime)
	var (
		runner    = newRunner()
		mu        sync.Mutex // guards survivors and stdout
		survivors int
	)
	for _, m := range mutants {
		g.Go(func() error {
			caught, err := runner.try(ctx, m, links[m.promise])
			if err != nil {
				return fmt.Errorf("%s: %w", m.patch, err)
			}
			if record {
				err = m.record(caught)
			}
			mu.Lock()
			defer mu.Unlock()
			if caught == (test{}) {
				survivors++
				fmt.Fprintf(stdout, "SURVIVED %s (%s)\n", m.name, m.promise)
			} else {
				fmt.Fprintf(stdout, "caught %s (%s) by %s\n", m.name, m.promise, caught.name)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if survivors > 0 {
		return fmt.Errorf("%d of %d survived: none of the tests that %s links for the promise fails", survivors, len(mutants), document)
	}
	return nil
}
