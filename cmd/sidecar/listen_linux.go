package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// onLoopback has a socket take what comes over the loopback interface alone. Before
// Linux 5.7 that needs a capability; then server.Local is all that there is.
func onLoopback(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { unix.BindToDevice(int(fd), "lo") })
}
