package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"irsa-sidecar/test/harness"
)

// slot is the precision of wake-ups: those within one count as one.
const slot = 100 * time.Millisecond

// process is a running process and its measurements.
type process struct {
	*harness.Process
	addr string        // that it serves on
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
	addresses, err := harness.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	listen, admin := addresses[0], addresses[1]
	cmd := exec.Command(binary)
	cmd.Env = append([]string{"SIDECAR_LISTEN=" + listen, "SIDECAR_ADMIN_LISTEN=" + admin}, env...)
	// Outside the terminal's foreground process group: Ctrl-C reaches only benchmark.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	running, err := harness.Start(cmd)
	if err != nil {
		return nil, err
	}
	p := &process{Process: running, addr: listen}
	if err := awaitAnswer(ctx, "http://"+listen+path); err != nil {
		return nil, errors.Join(err, p.end(), errors.New(p.Log()))
	}
	p.startTime = time.Since(begin)
	return p, nil
}

// awaitAnswer retries until the answer is 200. The period is the precision of the start
// time.
func awaitAnswer(ctx context.Context, url string) error {
	return harness.Await(ctx, time.Millisecond, 10*time.Second, func(ctx context.Context) error {
		status, body, err := harness.Get(ctx, url)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
}

// end stops the process. How it exits does not matter: the bare server dies of the signal.
func (p *process) end() error {
	_, err := p.Stop()
	return err
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
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid()))
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
		return 0, fmt.Errorf("process %d has no run time: it has exited, or this kernel has no schedstat", p.Pid())
	}
	ran, p.ran = sum-p.ran, sum
	return ran, nil
}

// readMemory fills in the memory figures of the process.
func (p *process) readMemory() error {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
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
			return fmt.Errorf("%s of process %d: %w", name, p.Pid(), err)
		}
		*field <<= 10
	}
	return nil
}
