package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindToLoopback makes a socket take only what comes over the loopback interface. Before
// Linux 5.7 that needs a capability; there Local is the only protection.
func bindToLoopback(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { unix.BindToDevice(int(fd), "lo") })
}
