package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sidecar is the real sidecar, as a process.
type sidecar struct {
	binary string
	env    []string
	url    string // where it serves credentials
	admin  string // the address of the admin listener
	log    string // path of the log file
	done   chan struct{}
}

func (d *demo) startSidecar(context.Context) error {
	listen, admin, err := freeAddresses()
	if err != nil {
		return err
	}
	s := &d.sidecar
	s.url, s.admin, s.log = "http://"+listen+"/v1/credentials", admin, filepath.Join(d.dir, "sidecar.log")
	webhook := []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + d.volume.Path("token"),
		"AWS_REGION=" + region,
		"AWS_DEFAULT_REGION=" + region,
		"AWS_STS_REGIONAL_ENDPOINTS=regional",
	}
	s.env = slices.Concat(webhook, []string{
		"AWS_ENDPOINT_URL_STS=" + d.stsURL, "SIDECAR_LISTEN=" + listen, "SIDECAR_ADMIN_LISTEN=" + admin})
	if err := d.runSidecar(); err != nil {
		return err
	}
	for _, variable := range s.env {
		d.say("%s", variable)
	}
	d.say("its log: %s", s.log)
	return nil
}

// runSidecar starts the process and aborts the demo if it exits unexpectedly.
func (d *demo) runSidecar() error {
	s := &d.sidecar
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, terminate := context.WithCancel(context.Background())
	cmd := command(ctx, s.binary)
	cmd.Env, cmd.Stderr = s.env, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		terminate()
		return err
	}
	s.done = make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(s.done)
		d.abort(fmt.Errorf("the sidecar exited unexpectedly with %s", cmd.ProcessState))
	}()
	d.ends = append(d.ends, func() error {
		start := time.Now()
		terminate()
		<-s.done
		if !cmd.ProcessState.Success() {
			return fmt.Errorf("stopping the sidecar: want exit status 0, got %s", cmd.ProcessState)
		}
		d.say("the sidecar stopped with %s, %s after the signal", cmd.ProcessState, time.Since(start).Round(time.Millisecond))
		return nil
	})
	return nil
}

// command returns a command outside the terminal's foreground process group, so that
// Ctrl-C reaches only the demo, which stops everything in order. A process that does
// not exit within WaitDelay is killed.
func command(ctx context.Context, binary string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Dir(binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// freeAddresses returns two addresses that were free a moment ago.
func freeAddresses() (listen, admin string, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}

func (d *demo) awaitReady(ctx context.Context) error {
	start := time.Now()
	err := until(ctx, 100*time.Millisecond, 10*time.Second, func(ctx context.Context) error {
		cmd := command(ctx, d.sidecar.binary, "ready")
		cmd.Env = d.sidecar.env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("sidecar ready: want exit status 0, got %w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.say("`sidecar ready` exited with status 0, %s after the start", time.Since(start).Round(time.Millisecond))
	return nil
}

// wantMetric returns an error unless the metric has the value want.
func (s *sidecar) wantMetric(ctx context.Context, name, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second} // no proxy
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 1<<20))
	for lines.Scan() {
		if got, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if got != want {
				return fmt.Errorf("metric %s: want %s, got %s", name, want, got)
			}
			return nil
		}
	}
	return errors.Join(fmt.Errorf("metric %s: want %s, got none", name, want), lines.Err())
}

// exited reports whether the process has exited.
func (s *sidecar) exited() bool {
	select {
	case <-s.done:
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
