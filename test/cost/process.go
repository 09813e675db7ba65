package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// slot is the precision of wake-ups: those within one count as one.
const slot = 100 * time.Millisecond

// process is a running process and its measurements.
type process struct {
	cmd  *exec.Cmd
	addr string // that it serves on
	log  bytes.Buffer
	ran  time.Duration // up to the last call of runTime

	startTime time.Duration // from its start to its first answer
	rss       int64         // resident bytes, when idle
	anonymous int64         // those of them that are not backed by a file
	peak      int64         // maximum of resident bytes
	wakeUps   float64       // a minute
	cpu       time.Duration // a minute
}

// start starts a server and returns when it has answered for the first time.
func start(ctx context.Context, binary string, env []string, path string) (*process, error) {
	listen, admin, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary), addr: listen}
	p.cmd.Env = append([]string{"SIDECAR_LISTEN=" + listen, "SIDECAR_ADMIN_LISTEN=" + admin}, env...)
	p.cmd.Stderr = &p.log
	// Outside the terminal's foreground process group: Ctrl-C reaches only cost.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := awaitAnswer(ctx, "http://"+listen+path); err != nil {
		return nil, errors.Join(err, p.end(), errors.New(p.log.String()))
	}
	p.startTime = time.Since(begin)
	return p, nil
}

// awaitAnswer retries until the answer is 200, and leaves no connection open.
func awaitAnswer(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(time.Millisecond): // the precision of the start time
		}
	}
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

// end stops the process and waits for its exit.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	defer time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() }).Stop()
	_ = p.cmd.Wait() // the bare server dies of the signal
	return nil
}

// watch lets the processes settle, measures each for window, and then reads its
// memory. Nothing contacts them meanwhile: reading /proc does not wake a process.
func watch(ctx context.Context, window time.Duration, processes []*process) error {
	if err := wait(ctx, time.After(settleTime)); err != nil {
		return err
	}
	for _, p := range processes {
		if _, err := p.runTime(); err != nil {
			return err
		}
	}
	minutes := window.Minutes()
	tick := time.NewTicker(slot)
	defer tick.Stop()
	for range window / slot {
		if err := wait(ctx, tick.C); err != nil {
			return err
		}
		for _, p := range processes {
			ran, err := p.runTime()
			if err != nil {
				return err
			}
			p.cpu += time.Duration(float64(ran) / minutes)
			if ran > 0 {
				p.wakeUps += 1 / minutes
			}
		}
	}
	for _, p := range processes {
		if err := p.readMemory(); err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, until <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-until:
		return nil
	}
}

// runTime returns how long the threads of the process have run since the last
// call, to the nanosecond: https://docs.kernel.org/scheduler/sched-stats.html
func (p *process) runTime() (ran time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		onCPU, _, _ := strings.Cut(string(raw), " ")
		n, err := strconv.ParseInt(onCPU, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(n)
	}
	if sum == 0 {
		return 0, fmt.Errorf("process %d has no run time: it has exited, or this kernel has no schedstat", p.cmd.Process.Pid)
	}
	ran, p.ran = sum-p.ran, sum
	return ran, nil
}

// readMemory fills in the memory figures of the process.
func (p *process) readMemory() error {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return err
	}
	fields := map[string]*int64{"VmRSS": &p.rss, "RssAnon": &p.anonymous, "VmHWM": &p.peak}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		field := fields[name]
		if field == nil {
			continue
		}
		if _, err := fmt.Sscanf(value, "%d kB", field); err != nil {
			return fmt.Errorf("%s of process %d: %w", name, p.cmd.Process.Pid, err)
		}
		*field <<= 10
	}
	return nil
}
