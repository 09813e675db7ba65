// Command sidecar gives programs with an old AWS SDK the role of their pod's service
// account: it exchanges the projected token at STS and serves the credentials on the
// container credentials endpoint, on loopback.
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

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/linklocal"
	"irsa-sidecar/internal/token"
)

// terminationLog is where the kubelet takes the message of a container that has exited
// from, up to 4096 bytes, if it is mounted:
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const terminationLog = "/dev/termination-log"

func main() {
	// Otherwise a log that nobody reads any more would end the process, and so would
	// whoever expects SIGHUP to make it read its settings again.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	stderr := newLogWriter(os.Stderr)
	// net/http writes there what it cannot return, and repeats what it received.
	log.SetOutput(io.Discard)
	limitMemory(os.Getenv)
	if err := harden(); err != nil {
		newLogger(stderr, slog.LevelWarn).Warn("process is not hardened", "error", err.Error())
	}
	// Never stopped: a second signal must not cut the shutdown short.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, stderr), stderr, terminationLog)
	stderr.flush()
	os.Exit(status)
}

// run executes the command that args name until it is done or ctx is.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer, stderr *logWriter) error {
	arguments := config.ParseArguments(args)
	switch {
	case arguments.Help:
		_, err := io.WriteString(stdout, config.Usage())
		return err
	case arguments.Version:
		_, err := fmt.Fprintln(stdout, readBuild())
		return err
	}
	if arguments.Command == config.Check {
		return runCheck(ctx, arguments, getenv, stdout)
	}
	cfg, err := config.Load(arguments, getenv, token.ReadFile)
	if err != nil {
		return err
	}
	log := newLogger(stderr, cfg.LogLevel)
	switch cfg.Command {
	case config.LinkLocal:
		return linklocal.Add(ctx, cfg.Addresses, log)
	case config.Ready:
		return ready(ctx, cfg, stdout)
	case config.Refresh:
		return refresh(ctx, cfg, stdout)
	}
	return serve(ctx, cfg, log, stderr)
}

func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// notReadyError is an answer of ready that has been printed.
type notReadyError struct{}

func (notReadyError) Error() string { return "not ready" }

// noCredentialsError reports a clean shutdown before any credentials were obtained, or
// after they expired: it is no failure, but somebody will want to know why.
type noCredentialsError struct{ reason error }

func (e *noCredentialsError) Error() string {
	return "exited without credentials: " + e.reason.Error()
}

// exit reports how the process ended, on stderr and in the termination log if there is
// one, and returns the exit status: 0 after a signal, 2 for a configuration error,
// otherwise 1.
func exit(err error, stderr io.Writer, terminationLog string) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, notReadyError{}) {
		return 1
	}
	if failed, ok := errors.AsType[checkFailedError](err); ok {
		return failed.status
	}
	message := fmt.Sprintf("sidecar: %v\n", err)
	wrong, isConfig := errors.AsType[*config.Error](err)
	if !isConfig || wrong.Command != config.Ready && wrong.Command != config.Refresh { // the termination log is the sidecar's
		writeExisting(terminationLog, message)
	}
	if _, ok := errors.AsType[*noCredentialsError](err); ok {
		return 0
	}
	io.WriteString(stderr, message)
	if isConfig {
		return 2
	}
	return 1
}

// writeExisting replaces the content of a file, if there is such a file. A failure
// cannot be reported anywhere.
func writeExisting(name, text string) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	io.WriteString(f, text)
}
