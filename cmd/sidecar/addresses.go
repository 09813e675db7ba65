package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// addresses are where the sidecar listens.
type addresses struct {
	loopback netip.AddrPort // 127.0.0.1, and [::1] on the same port
	ecs      netip.AddrPort // zero: not there
	imds     netip.AddrPort // zero: not there
	admin    string
}

// ecsAddress and imdsAddress are where every AWS SDK looks for the credentials of
// an ECS task and of an EC2 instance:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
func ecsAddress() netip.Addr  { return netip.AddrFrom4([4]byte{169, 254, 170, 2}) }
func imdsAddress() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 169, 254}) }

func (l *loader) addresses() addresses {
	localhost := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	s := l.setting("listen", "SIDECAR_LISTEN")
	a := addresses{admin: l.adminAddress()}
	var err error
	a.loopback, err = netip.ParseAddrPort(cmp.Or(s.value, "127.0.0.1:9911"))
	if err != nil || a.loopback.Addr() != localhost {
		l.fail(s, "%q is not 127.0.0.1:PORT: credentials are served on loopback only, and that is the address every SDK accepts", s.value)
	}
	a.ecs = l.doorAddress(l.setting("ecs-listen", "SIDECAR_ECS_LISTEN"), ecsAddress(), localhost)
	a.imds = l.doorAddress(l.setting("imds-listen", "SIDECAR_IMDS_LISTEN"), imdsAddress(), localhost)
	l.apart(a)
	return a
}

// doorAddress returns the address of a door that is not there unless it is set.
func (l *loader) doorAddress(s setting, allowed ...netip.Addr) netip.AddrPort {
	if s.value == "" {
		return netip.AddrPort{}
	}
	address, err := netip.ParseAddrPort(s.value)
	if err != nil || !slices.Contains(allowed, address.Addr()) {
		l.fail(s, "%q is not %s:PORT, as %[2]s:80, nor 127.0.0.1:PORT: SDKs look for it there, and others than this pod must not reach it", s.value, allowed[0])
	}
	return address
}

func (l *loader) adminAddress() string {
	s := l.setting("admin-listen", "SIDECAR_ADMIN_LISTEN")
	address := cmp.Or(s.value, ":9912")
	host, port, err := net.SplitHostPort(address)
	_, notIP := netip.ParseAddr(host)
	_, notPort := strconv.ParseUint(port, 10, 16)
	if err != nil || host != "" && host != "localhost" && notIP != nil || notPort != nil {
		l.fail(s, "%q is not [HOST]:PORT with an IP address as the host", s.value)
	}
	return address
}

// apart checks that no two listeners have the same address. The admin listener
// shares no port with any: mostly it listens on all addresses.
func (l *loader) apart(a addresses) {
	doors := []struct {
		flag, variable string
		address        netip.AddrPort
	}{
		{"listen", "SIDECAR_LISTEN", a.loopback},
		{"ecs-listen", "SIDECAR_ECS_LISTEN", a.ecs},
		{"imds-listen", "SIDECAR_IMDS_LISTEN", a.imds},
	}
	_, port, _ := net.SplitHostPort(a.admin)
	adminPort, _ := strconv.ParseUint(port, 10, 16)
	for i, door := range doors {
		if door.address.Port() == 0 {
			continue
		}
		if uint16(adminPort) == door.address.Port() {
			l.fail(l.setting("admin-listen", "SIDECAR_ADMIN_LISTEN"), "port %d is that of --%s: metrics are served apart from credentials", adminPort, door.flag)
		}
		for _, other := range doors[:i] {
			if other.address == door.address {
				l.fail(l.setting(door.flag, door.variable), "%s is the address of --%s", door.address, other.flag)
			}
		}
	}
}

// linkLocalAddresses returns those that the command link-local names, or else
// all that there are.
func (l *loader) linkLocalAddresses(named []string) []netip.Addr {
	all := []netip.Addr{ecsAddress(), imdsAddress()}
	if len(named) == 0 {
		return all
	}
	var addresses []netip.Addr
	for _, name := range named {
		address, err := netip.ParseAddr(name)
		if err != nil || !slices.Contains(all, address) {
			l.problems = append(l.problems, fmt.Errorf("link-local: %q is neither %s nor %s", name, all[0], all[1]))
		}
		addresses = append(addresses, address)
	}
	return addresses
}
