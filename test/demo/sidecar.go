package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"irsa-sidecar/test/harness"
)

// sidecar is the real sidecar, as a process.
type sidecar struct {
	*harness.Process
	url   string // where it serves credentials
	admin string // the address of the admin listener
	log   string // path of the log file
}

func (d *demo) startSidecar(context.Context) error {
	addresses, err := harness.FreeAddresses(2)
	if err != nil {
		return err
	}
	s := &d.sidecar
	listen, admin := addresses[0], addresses[1]
	s.url, s.admin, s.log = "http://"+listen+"/v1/credentials", admin, filepath.Join(d.dir, "sidecar.log")
	cmd := command(d.binary(sidecarName))
	cmd.Env = append(d.sidecarSource(), "SIDECAR_LISTEN="+listen, "SIDECAR_ADMIN_LISTEN="+admin)
	if err := d.runSidecar(cmd); err != nil {
		return err
	}
	for _, variable := range cmd.Env {
		d.say("%s", variable)
	}
	d.say("its log: %s", s.log)
	return nil
}

// runSidecar starts the process and aborts the demo if it exits unexpectedly.
func (d *demo) runSidecar(cmd *exec.Cmd) error {
	log, err := os.Create(d.sidecar.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	p, err := harness.Start(cmd)
	if err != nil {
		return err
	}
	d.sidecar.Process = p
	go func() {
		<-p.Exited()
		d.abort(fmt.Errorf("the sidecar exited unexpectedly with %s", cmd.ProcessState))
	}()
	d.ends = append(d.ends, func() error {
		start := time.Now()
		state, err := p.Stop()
		if err == nil && !state.Success() {
			err = fmt.Errorf("want exit status 0, got %s", state)
		}
		if err != nil {
			return fmt.Errorf("stopping the sidecar: %w", err)
		}
		d.say("the sidecar stopped with %s, %s after the signal", state, time.Since(start).Round(time.Millisecond))
		return nil
	})
	return nil
}

// command returns a command outside the terminal's foreground process group, so that
// Ctrl-C reaches only the demo, which stops everything in order.
func command(binary string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = filepath.Dir(binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (d *demo) awaitReady(ctx context.Context) error {
	start := time.Now()
	if err := harness.Await(ctx, 100*time.Millisecond, 10*time.Second, d.sidecar.Ready); err != nil {
		return err
	}
	d.say("`sidecar ready` exited with status 0, %s after the start", time.Since(start).Round(time.Millisecond))
	return nil
}

// wantMetric returns an error unless the metric has the value want.
func (s *sidecar) wantMetric(ctx context.Context, name string, want float64) error {
	got, err := harness.Metric(ctx, s.admin, name)
	if err == nil && got != want {
		err = fmt.Errorf("metric %s: want %g, got %g", name, want, got)
	}
	return err
}

// exited reports whether the process has exited.
func (s *sidecar) exited() bool {
	select {
	case <-s.Exited():
		return true
	default:
		return false
	}
}

// printLog prints the end of the log, if there is one.
func (s *sidecar) printLog(w io.Writer) {
	const last = 10
	log, err := os.ReadFile(s.log)
	if err != nil || len(log) == 0 {
		return
	}
	lines := slices.Collect(bytes.Lines(log))
	fmt.Fprintf(w, "\nThe end of the sidecar's log:\n%s", bytes.Join(lines[max(0, len(lines)-last):], nil))
}
