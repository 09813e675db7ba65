// Command fleet simulates what many thousand sidecars do to STS together, and
// what STS's troubles do to their applications, beside a fleet of programs that
// renew at a fixed 80 % of the lifetime:
//
//	go run ./test/fleet           prints the tables and writes them and the pictures to docs/
//	go run ./test/fleet -check    fails if docs/ has others
//
// It exists because the schedule is made for fleets, and no test of one sidecar
// shows what it is good for. It has no rule of its own for the sidecar: it calls
// the functions that the sidecar calls. The same program gives the same bytes.
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
		fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "write nothing, fail if docs/ is stale")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return errors.New("usage: fleet [-check]")
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "irsa-sidecar").Output()
	if err != nil {
		return fmt.Errorf("finding the module irsa-sidecar: %w: run this from inside of it", err)
	}
	docs := filepath.Join(strings.TrimSpace(string(root)), "docs")
	made := newReport(simulate(5000, 10_000, 100_000))
	if *check {
		return made.check(docs)
	}
	if _, err := io.WriteString(stdout, made.tables); err != nil {
		return err
	}
	return made.write(docs)
}
