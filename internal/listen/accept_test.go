package listen

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// failing is a listener whose Accept first fails with each of errs.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) == 0 {
		return f.Listener.Accept()
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

// acceptError is an error of accept(2), as package net returns it.
func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

// P1: no error of accept(2) stops the server.
func TestServeSurvivesAcceptErrors(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{
		syscall.ENOBUFS, syscall.ENOMEM, syscall.EPROTO, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.EPERM, syscall.EIO,
		syscall.EINTR, syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			ln := &failing{open(t), []error{acceptError(errno), acceptError(errno)}}
			serve(t, ln, answering(), NewLimit(AdminConnections))
			if got := rawhttp.Exchange(t, ln.Addr().String(), "GET / HTTP/1.1\nHost: localhost"); got.Body != golden {
				t.Errorf("got %d %s", got.Status, got.Body)
			}
		})
	}
}

// The pause grows to a second, and there is one warning. Both start over once Accept has
// worked for a minute.
func TestAcceptPausesAndWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		pipes := newPipes()
		source := &failing{Listener: pipes}
		ln := NewLimit(8).listener(source, slog.New(slog.NewTextHandler(&log, nil)))
		accept := func(failures int) time.Duration {
			for range failures {
				source.errs = append(source.errs, acceptError(syscall.ENOBUFS))
			}
			go func() { pipes.conns <- new(fakeConn) }()
			start := time.Now()
			if _, err := ln.Accept(); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		for _, tt := range []struct {
			failures int
			pause    time.Duration
			warnings int
		}{
			{0, 0, 0},
			{1, 5 * time.Millisecond, 1},
			{3, 35 * time.Millisecond, 1},
			{10, 1275*time.Millisecond + 2*time.Second, 1},
		} {
			if pause := accept(tt.failures); pause != tt.pause {
				t.Errorf("after %d failures: %v, want %v", tt.failures, pause, tt.pause)
			}
			if n := strings.Count(log.String(), "accepting a connection failed"); n != tt.warnings {
				t.Errorf("after %d failures: %d warnings, want %d", tt.failures, n, tt.warnings)
			}
		}
		time.Sleep(warnPeriod)
		if pause := accept(1); pause != firstPause || strings.Count(log.String(), "no buffer space available") != 2 {
			t.Errorf("a minute later: %v, %s", pause, log.String())
		}
	})
}

// A paused listener stops with the server.
func TestPausedListenerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		source := &failing{Listener: newPipes()}
		for range 20 {
			source.errs = append(source.errs, acceptError(syscall.ENOMEM))
		}
		done := make(chan error, 1)
		go func() {
			done <- Serve(ctx, source, http.NotFoundHandler(), NewLimit(8), nil, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(3 * time.Second)
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > time.Second {
			t.Errorf("returned after %v with %v", time.Since(start), err)
		}
	})
}
