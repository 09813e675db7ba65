package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"irsa-sidecar/internal/server"
)

// listeners are what the sidecar has for its addresses: for ecs and imds one or none.
type listeners struct {
	loopback []net.Listener
	ecs      []net.Listener
	imds     []net.Listener
	admin    net.Listener
}

// listen listens on every address of the configuration.
func listen(cfg *config) (l listeners, err error) {
	if l.loopback, err = listenLoopback(cfg); err != nil {
		return l, err
	}
	if l.ecs, err = listenLocal(cfg.listen.ecs, "--ecs-listen"); err != nil {
		return l, err
	}
	if l.imds, err = listenLocal(cfg.listen.imds, "--imds-listen"); err != nil {
		return l, err
	}
	if l.admin, err = net.Listen("tcp", cfg.listen.admin); err != nil {
		return l, listenError(err, "--admin-listen")
	}
	return l, nil
}

// attributes returns the addresses for a log.
func (l listeners) attributes() []any {
	attributes := []any{"listen", l.loopback[0].Addr().String(), "admin_listen", l.admin.Addr().String()}
	for _, ln := range l.ecs {
		attributes = append(attributes, "ecs_listen", ln.Addr().String())
	}
	for _, ln := range l.imds {
		attributes = append(attributes, "imds_listen", ln.Addr().String())
	}
	return attributes
}

// listenLoopback listens on 127.0.0.1 and, where there is IPv6, on [::1]:
// Node.js 18 and later may turn localhost into that.
func listenLoopback(cfg *config) ([]net.Listener, error) {
	v4, err := net.Listen("tcp4", cfg.listen.loopback.String())
	if err != nil {
		return nil, listenError(err, "--listen")
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", net.JoinHostPort(netip.IPv6Loopback().String(), strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		cfg.log.Info("no IPv6 loopback, serving on 127.0.0.1 only", "cause", err.Error())
		return []net.Listener{v4}, nil
	case err != nil:
		v4.Close()
		return nil, listenError(err, "--listen")
	}
	return []net.Listener{v4, v6}, nil
}

// listenLocal listens on an address, if it is one, for this pod only. On the loopback
// interface alone, where the kernel lets it: strangers then do not get so far as to wait
// among the pod's own connections to be turned away.
func listenLocal(address netip.AddrPort, flag string) ([]net.Listener, error) {
	if !address.IsValid() {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{Control: onLoopback}).Listen(context.Background(), "tcp4", address.String())
	if err != nil {
		return nil, listenError(err, flag)
	}
	return []net.Listener{server.Local(ln)}, nil
}

// listenError says what to do about an address that cannot be listened on.
func listenError(err error, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another process in this pod has the port (on the node, with hostNetwork): end it or set %s", err, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && flag == "--listen": // which is 127.0.0.1
		return fmt.Errorf("%w: the loopback interface of this pod is down: the container runtime sets it up, by the CNI plug-in loopback: see that the node has it, and create the pod anew", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && flag != "--admin-listen":
		return fmt.Errorf("%w: this pod does not have that address: before the sidecar it needs an init container with the command link-local, as deploy/component adds with the annotation irsa-sidecar/doors", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this pod does not have that address: correct %s", err, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports as low are for the privileged: set the pod's sysctl net.ipv4.ip_unprivileged_port_start to 0 (securityContext.sysctls), or another port in %s", err, flag)
	}
	return fmt.Errorf("%w: correct %s", err, flag)
}
