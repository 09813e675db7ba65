package linklocal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// verifyTimeout bounds what takes microseconds if it works.
const verifyTimeout = 5 * time.Second

// Add adds the addresses to the loopback interface of this pod. From then on they lead
// nowhere else: not to the node, and not to its metadata service. An address that is
// already there is no error. Add refuses to change the network of a node.
func Add(ctx context.Context, addresses []netip.Addr, log *slog.Logger) error {
	if err := refuseNode(ctx); err != nil {
		return err
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback interface: %w", err)
	}
	for _, address := range addresses {
		if err := addAddress(lo.Index, address); err != nil {
			return explain("adding "+address.String()+" to the loopback interface", err)
		}
		if address == netip.AddrFrom4([4]byte{169, 254, 169, 254}) {
			if err := prohibitIPv6(); err != nil {
				return err
			}
		}
		if err := verify(ctx, address); err != nil {
			return err
		}
		log.Info("address added to the pod's loopback interface", "address", address.String())
	}
	return nil
}

// prohibitIPv6 makes the IPv6 address of the EC2 metadata service, which some instances
// have, unreachable. A rule also holds for a socket that is bound to an interface. An
// unreachable route would not, nor would an address of the loopback interface for such a
// socket that has a source address as well.
func prohibitIPv6() error {
	const metadata = "fd00:ec2::254"
	ruleErr := addProhibitRule(netip.MustParseAddr(metadata), 1) // right after the local addresses
	if ruleErr == nil || errors.Is(ruleErr, syscall.EEXIST) {
		return nil
	}
	// This sends nothing, and fails without a route: without IPv6 no rule is needed.
	conn, err := net.Dial("udp6", net.JoinHostPort(metadata, "80"))
	if err != nil {
		return nil
	}
	conn.Close()
	return explain("prohibiting "+metadata, ruleErr)
}

// verify connects to a listener at address, which succeeds only if address is local.
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
		return fmt.Errorf("verifying %s: %w: check for a routing rule or a packet filter that takes precedence over the pod's own addresses", address, err)
	}
	conn.Close()
	return nil
}

// explain adds to an error of netlink what to do about it.
func explain(what string, err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%s: %w: link-local needs user 0 and the capability NET_ADMIN, in its own container only: securityContext: {runAsUser: 0, capabilities: {drop: [ALL], add: [NET_ADMIN]}}", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
