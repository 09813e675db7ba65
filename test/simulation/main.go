// Command simulation shows the load of many thousand sidecars on STS, and the effect
// of STS outages and quotas on their applications. It compares them with a fleet of
// programs that renew at a fixed 80 % of the lifetime:
//
//	go run ./test/simulation            prints the tables and writes them and the pictures to docs/
//	go run ./test/simulation -check     fails if docs/ differs
//	go run ./test/simulation -seed 7    prints the tables with other random numbers
//
// It exists because the schedule is designed for fleets, and no test of a single
// sidecar shows its value. It does not model the sidecar's schedule but calls the
// sidecar's own functions. Its output is deterministic.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "simulation: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("simulation", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing, fail if docs/ is stale")
	seed := flags.Uint64("seed", 0, "if it is not 0, write nothing: only docs/ with seed 0 is comparable")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return errors.New("usage: simulation [-check] [-seed N]")
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "irsa-sidecar").Output()
	if err != nil {
		return fmt.Errorf("finding the module irsa-sidecar: %w: run this from within the module", err)
	}
	docs := filepath.Join(strings.TrimSpace(string(root)), "docs")
	r := newReport(simulate(*seed, 5000, 10_000, 100_000))
	if *check && *seed == 0 {
		return r.check(docs)
	}
	if _, err := io.WriteString(stdout, r.tables); err != nil || *seed != 0 {
		return err
	}
	return r.write(docs)
}
