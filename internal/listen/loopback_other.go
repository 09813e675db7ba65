//go:build !linux

package listen

import "syscall"

// bindToLoopback does nothing: pods run on Linux, and elsewhere there is only the demo.
func bindToLoopback(_, _ string, _ syscall.RawConn) error { return nil }
