package harness

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to exit after SIGTERM.
const stopTimeout = 5 * time.Second

// Process is a running command.
type Process struct {
	cmd    *exec.Cmd
	log    Buffer
	exited chan struct{}
}

// Start starts cmd. Its output is available from [Process.Log] unless cmd has a Stderr.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = &p.log, &p.log
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(p.exited)
	}()
	return p, nil
}

// Pid returns the process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Log returns the output so far.
func (p *Process) Log() string { return p.log.String() }

// Exited is closed when the process has exited.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// State says how the process has exited; call it after that.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Stop sends SIGTERM, and SIGKILL if the process does not exit in time. It returns how
// the process exited, and an error if it had already exited.
func (p *Process) Stop() (*os.ProcessState, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState, fmt.Errorf("exited before it was stopped: %s", p.cmd.ProcessState)
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.exited
	return p.cmd.ProcessState, nil
}

// Kill stops the process with SIGKILL, as the kernel does when memory runs out.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Ready runs `sidecar ready` with the environment of a sidecar, as its startup probe does.
// It returns nil if the sidecar has credentials.
func (p *Process) Ready(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.cmd.Path, "ready")
	cmd.Env = p.cmd.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sidecar ready: want exit status 0, got %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Await calls check every period until it returns nil. It returns check's latest error
// after the limit, or the cause when ctx is done. check must not block indefinitely.
func Await(ctx context.Context, period, limit time.Duration, check func(context.Context) error) error {
	start := time.Now()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		err := check(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(start) > limit:
			return fmt.Errorf("after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// FreeAddresses returns n different loopback addresses that were free a moment ago.
func FreeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // only at the end, so that the addresses differ
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// Buffer is a buffer that may be read while a process writes to it. The zero value is
// empty.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns everything that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Reset forgets what was written.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}
