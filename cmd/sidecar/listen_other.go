//go:build !linux

package main

import "syscall"

// onLoopback does nothing: pods run on Linux, and elsewhere there is only the demo.
func onLoopback(_, _ string, _ syscall.RawConn) error { return nil }
