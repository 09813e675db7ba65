// Command sidecar gives programs with an old AWS SDK the role of their pod's
// service account: it exchanges the projected token at STS and serves the
// credentials on the container credentials endpoint, on loopback.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// terminationLog is what the kubelet shows as the message of a container that
// has ended, up to 4096 bytes, where it is mounted:
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const terminationLog = "/dev/termination-log"

func main() {
	// Else a log that nobody reads any more would end the process.
	signal.Ignore(syscall.SIGPIPE)
	stderr := newLogWriter(os.Stderr)
	// Where net/http says what it cannot return, and repeats what it has received.
	log.SetOutput(io.Discard)
	if err := harden(); err != nil {
		slog.New(slog.NewJSONHandler(stderr, nil)).Warn("process is not hardened", "error", err.Error())
	}
	// Never stopped: a second signal must not cut off the end.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := end(run(ctx, os.Args[1:], os.Getenv, os.Stdout, stderr), stderr, terminationLog)
	stderr.flush()
	os.Exit(status)
}

// run carries out the command that args name until it is done or ctx is.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	arguments, problems := parseArguments(args)
	switch {
	case arguments.help:
		_, err := io.WriteString(stdout, usage)
		return err
	case arguments.version:
		_, err := fmt.Fprintln(stdout, readBuild())
		return err
	}
	if arguments.command == "link-local" {
		return runLinkLocal(ctx, arguments, problems, getenv, stderr)
	}
	cfg, err := loadConfig(arguments.flags, getenv, stderr)
	if err = errors.Join(append(problems, err)...); err != nil {
		return &configError{error: err, probe: arguments.command == "ready"}
	}
	if arguments.command == "ready" {
		return ready(ctx, cfg, stdout)
	}
	return serve(ctx, cfg)
}

// runLinkLocal carries out link-local, which needs none of what serving does.
func runLinkLocal(ctx context.Context, arguments arguments, problems []error, getenv func(string) string, stderr io.Writer) error {
	l := &loader{flags: arguments.flags, getenv: getenv, problems: problems}
	log := l.logger(stderr)
	addresses := l.linkLocalAddresses(arguments.operands)
	if err := errors.Join(l.problems...); err != nil {
		return &configError{error: err}
	}
	return linkLocal(ctx, addresses, log)
}

// configError is an error that only another configuration mends.
type configError struct {
	error
	probe bool // of a process beside the sidecar: the termination log is not its own
}

// notReadyError is an answer that has been printed.
type notReadyError struct{}

func (notReadyError) Error() string { return "not ready" }

// unservedError is the end, as told, of a process that has no credentials: no
// failure, but somebody will ask why.
type unservedError struct{ reason error }

func (e *unservedError) Error() string { return "ended without credentials: " + e.reason.Error() }

// end says how the process ended, on stderr and in the termination log if
// there is one, and returns the exit status: 0 for a process that was told to
// end, 2 for a configuration error, 1 for anything else.
func end(err error, stderr io.Writer, terminationLog string) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, notReadyError{}) {
		return 1
	}
	message := fmt.Sprintf("sidecar: %v\n", err)
	wrong, isConfig := errors.AsType[*configError](err)
	if !isConfig || !wrong.probe {
		writeExisting(terminationLog, message)
	}
	if _, ok := errors.AsType[*unservedError](err); ok {
		return 0
	}
	io.WriteString(stderr, message)
	if isConfig {
		return 2
	}
	return 1
}

// writeExisting replaces what a file holds, if there is such a file. A failure
// has nowhere to be told.
func writeExisting(name, text string) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	io.WriteString(f, text)
}
