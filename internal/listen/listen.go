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

// Loopback listens on address, of 127.0.0.1, and if there is IPv6 also on the same port
// of [::1]: Node.js 18 and later may resolve localhost to that. Its errors say what to do.
func Loopback(address string, log *slog.Logger) ([]net.Listener, error) {
	v4, err := net.Listen("tcp4", address)
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // of 127.0.0.1
		return nil, fmt.Errorf("%w: the loopback interface of this pod is down: check that the node has the CNI plug-in loopback, with which the container runtime sets it up, and recreate the pod", err)
	}
	if err != nil {
		return nil, explain(err)
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", net.JoinHostPort(netip.IPv6Loopback().String(), strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		log.Info("no IPv6 loopback, serving on 127.0.0.1 only", "cause", err.Error())
		return []net.Listener{v4}, nil
	case err != nil:
		v4.Close()
		return nil, explain(err)
	}
	return []net.Listener{v4, v6}, nil
}

// LinkLocal listens on address, for processes of this pod only. If the kernel allows, it
// takes connections from the loopback interface alone: connections from elsewhere then
// do not even queue with the pod's own. Its errors say what to do.
func LinkLocal(address string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{Control: bindToLoopback}).Listen(context.Background(), "tcp4", address)
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
	ln, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("%w: this pod does not have the address", err)
	}
	return ln, explain(err)
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
