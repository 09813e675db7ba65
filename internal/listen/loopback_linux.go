package listen

import "golang.org/x/sys/unix"

// bindToLoopback makes a socket take only what comes over the loopback interface. Before
// Linux 5.7 that needs a capability; there, and where that interface has another name,
// Local is the only protection.
func bindToLoopback(fd int) { unix.BindToDevice(fd, "lo") }
