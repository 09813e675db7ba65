// Package listen runs HTTP servers in a pod: on addresses that only the pod can reach,
// within bounds on what a client can use up, and until a context ends.
//
// It is separate from what is served, so that every server of the sidecar has the same
// bounds.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

const (
	// The kernel doubles these buffers, and without them lets them grow to megabytes per
	// connection, which count towards the memory limit of the pod on cgroup v2. A request
	// and an answer fit; longer ones take no more time. With a send buffer of 2 KiB
	// an answer of ten takes 40 ms.
	receiveBuffer = 4 << 10
	sendBuffer    = 8 << 10
)

// Loopback listens on address, of 127.0.0.1, and if there is IPv6 also on the same port
// of [::1]: Node.js 18 and later may resolve localhost to that. Both are for processes of
// this pod only, as with LinkLocal. Its errors say what to do.
func Loopback(address string, log *slog.Logger) ([]net.Listener, error) {
	v4, err := listen("tcp4", address, bindToLoopback)
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // of 127.0.0.1
		return nil, fmt.Errorf("%w: the loopback interface of this pod is down: check that the node has the CNI plug-in loopback, with which the container runtime sets it up, and recreate the pod", err)
	}
	if err != nil {
		return nil, explain(err)
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := listen("tcp6", net.JoinHostPort(netip.IPv6Loopback().String(), strconv.Itoa(port)), bindToLoopback)
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		log.Info("no IPv6 loopback, serving on 127.0.0.1 only", "cause", err.Error())
		return []net.Listener{Local(v4)}, nil
	case err != nil:
		v4.Close()
		return nil, explain(err)
	}
	return []net.Listener{Local(v4), Local(v6)}, nil
}

// LinkLocal listens on address, for processes of this pod only. If the kernel allows, it
// takes connections from the loopback interface alone: connections from elsewhere then
// do not even queue with the pod's own. Its errors say what to do.
func LinkLocal(address string) (net.Listener, error) {
	ln, err := listen("tcp4", address, bindToLoopback)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("%w: this pod does not have the address: before the sidecar it needs an init container with the command link-local, which deploy/component and deploy/inject add with the annotation irsa-sidecar/endpoints", err)
	}
	if err != nil {
		return nil, explain(err)
	}
	return Local(ln), nil
}

// Any listens on address for everybody. Its errors say what to do.
func Any(address string) (net.Listener, error) {
	ln, err := listen("tcp", address, func(int) {})
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("%w: this pod does not have the address", err)
	}
	return ln, explain(err)
}

// listen listens with small buffers, which connections inherit, and what prepare does to
// the socket.
func listen(network, address string, prepare func(fd int)) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
			prepare(int(fd))
		})
	}}
	config.SetMultipathTCP(false) // which Go would offer, and which has buffers of its own
	return config.Listen(context.Background(), network, address)
}

// explain adds to an error of listening what to do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: the port is already in use in this pod (on the node, with hostNetwork): stop that process or use another port", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: binding this port needs privileges: set the pod's sysctl net.ipv4.ip_unprivileged_port_start to 0 (securityContext.sysctls), or use another port", err)
	}
	return err
}
