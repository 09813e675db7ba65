package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// verifyTimeout bounds what takes microseconds where it works.
const verifyTimeout = 5 * time.Second

// linkLocal gives the loopback interface of this pod the addresses, which then
// lead nowhere else: not to the node, and not to its metadata service. It is no
// error if they are there already. It refuses to do that to a node.
func linkLocal(ctx context.Context, addresses []netip.Addr, log *slog.Logger) error {
	if err := refuseNode(ctx); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("looking for the loopback interface: %w", err)
	}
	for _, address := range addresses {
		prefix := net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}
		if err := netlink.AddrReplace(lo, &netlink.Addr{IPNet: &prefix, Scope: int(netlink.SCOPE_HOST)}); err != nil {
			return netlinkError("adding "+address.String()+" to the loopback interface", err)
		}
		if address == imdsAddress() {
			if err := closeIPv6(); err != nil {
				return err
			}
		}
		if err := verify(ctx, address); err != nil {
			return err
		}
		log.Info("address leads to this pod", "address", address.String())
	}
	return nil
}

// closeIPv6 makes the other address of the EC2 metadata service, which some
// instances have, unreachable. As a rule it holds for a socket that is bound to an
// interface too; such a socket is let pass by an unreachable route, and by an
// address of the loopback interface if it has a source address as well.
func closeIPv6() error {
	const metadata = "fd00:ec2::254"
	rule := netlink.NewRule()
	rule.Family = netlink.FAMILY_V6
	rule.Dst = &net.IPNet{IP: net.ParseIP(metadata), Mask: net.CIDRMask(128, 128)}
	rule.Priority = 1 // right after the local addresses
	rule.Type = syscall.RTN_PROHIBIT
	ruleErr := netlink.RuleAdd(rule)
	if ruleErr == nil || errors.Is(ruleErr, syscall.EEXIST) {
		return nil
	}
	// It sends nothing, and fails where there is no way: no rule is needed without IPv6.
	conn, err := net.Dial("udp6", net.JoinHostPort(metadata, "80"))
	if err != nil {
		return nil
	}
	conn.Close()
	return netlinkError("prohibiting "+metadata, ruleErr)
}

// verify connects to a listener at address, and so sees that it is local.
func verify(ctx context.Context, address netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return fmt.Errorf("verifying %s: %w", address, err)
	}
	defer ln.Close()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", ln.Addr().String())
	if err != nil {
		return fmt.Errorf("verifying %s: %w: does a routing rule or a packet filter come before the pod's own addresses?", address, err)
	}
	conn.Close()
	return nil
}

func netlinkError(what string, err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%s: %w: link-local needs user 0 and the capability NET_ADMIN, in its own container only: securityContext: {runAsUser: 0, capabilities: {drop: [ALL], add: [NET_ADMIN]}}", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// refuseNode returns an error if this network namespace is a node's, as it is in a pod
// with hostNetwork. Nodes that are containers themselves have a namespace of their own;
// there the kubelet tells.
func refuseNode(ctx context.Context) error {
	var self syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/net", &self); err != nil {
		return fmt.Errorf("telling a pod's network from a node's: %w", err)
	}
	const initial = 0xeffffff9 // NET_NS_INIT_INO of linux/nsfs.h, since Linux 6.18
	if self.Ino == initial {
		return nodeError("the initial network namespace")
	}
	// Registered for the initial namespace alone (net/core/sysctl_net_core.c).
	const setting = "/proc/sys/net/core/netdev_max_backlog"
	if _, err := os.Stat(setting); err == nil {
		return nodeError(setting + " exists")
	}
	// Its healthz and its API: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
	for _, address := range []string{"127.0.0.1:10248", "127.0.0.1:10250"} {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp4", address)
		switch {
		case err == nil:
			conn.Close()
			return nodeError("something listens on " + address + ", as a kubelet does")
		case !errors.Is(err, syscall.ECONNREFUSED): // it may be there, and busy
			return fmt.Errorf("telling a pod's network from a node's by its kubelet: %w: is the loopback interface up?", err)
		}
	}
	return nil
}

func nodeError(sign string) error {
	return fmt.Errorf("this is the network of a node, not of a pod (%s): link-local would take the metadata address away from the node and everything on it: remove hostNetwork from the pod", sign)
}
