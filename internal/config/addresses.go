package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Listen is where the sidecar listens.
type Listen struct {
	Loopback Address // 127.0.0.1, and [::1] on the same port
	ECS      Address
	IMDS     Address
	Admin    Address
}

// Address is one address to listen on, and the setting that it is from.
type Address struct {
	HostPort string // empty: none
	Setting  string // for errors
}

// Where every AWS SDK looks for the credentials of an ECS task and of an EC2 instance:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
const (
	ecsAddress  = "169.254.170.2"
	imdsAddress = "169.254.169.254"
)

const localhost = "127.0.0.1"

func (l *loader) listen() Listen {
	loopback := l.loopbackAddress()
	ecs := l.linkLocalAddress(keyECSListen, ecsAddress)
	imds := l.linkLocalAddress(keyIMDSListen, imdsAddress)
	admin := l.adminAddress()
	l.checkDistinct(admin, []keyed{{keyListen, loopback}, {keyECSListen, ecs}, {keyIMDSListen, imds}})
	return Listen{
		Loopback: l.address(keyListen, loopback),
		ECS:      l.address(keyECSListen, ecs),
		IMDS:     l.address(keyIMDSListen, imds),
		Admin:    Address{HostPort: admin, Setting: l.settings[keyAdminListen].name()},
	}
}

// keyed is an address and the setting that it is from.
type keyed struct {
	key     key
	address netip.AddrPort
}

func (l *loader) address(k key, address netip.AddrPort) Address {
	if !address.IsValid() {
		return Address{}
	}
	return Address{HostPort: address.String(), Setting: l.settings[k].name()}
}

func (l *loader) loopbackAddress() netip.AddrPort {
	value := l.value(keyListen)
	address, err := netip.ParseAddrPort(value)
	if err != nil || address.Addr().String() != localhost {
		l.fail(keyListen, "%s is not 127.0.0.1:PORT: credentials are served on loopback only, at the address that every SDK accepts", quoted(value))
	}
	return address
}

// linkLocalAddress returns the address of an endpoint that is off unless it is set.
func (l *loader) linkLocalAddress(k key, allowed string) netip.AddrPort {
	value := l.value(k)
	if value == "" {
		return netip.AddrPort{}
	}
	address, err := netip.ParseAddrPort(value)
	if err != nil || address.Addr().String() != allowed && address.Addr().String() != localhost {
		l.fail(k, "%s must be %s:PORT (SDKs use port 80) or 127.0.0.1:PORT; other addresses could be reached from outside the pod", quoted(value), allowed)
	}
	return address
}

func (l *loader) adminAddress() string {
	value := l.value(keyAdminListen)
	host, port, err := net.SplitHostPort(value)
	_, notIP := netip.ParseAddr(host)
	_, notPort := strconv.ParseUint(port, 10, 16)
	if err != nil || host != "" && host != "localhost" && notIP != nil || notPort != nil {
		l.fail(keyAdminListen, "%s is not [HOST]:PORT with an IP address as the host", quoted(value))
	}
	return value
}

// checkDistinct checks that no two listeners have the same address. The admin listener
// must use another port than the others, since it usually listens on all addresses.
func (l *loader) checkDistinct(admin string, others []keyed) {
	_, port, _ := net.SplitHostPort(admin)
	adminPort, _ := strconv.ParseUint(port, 10, 16)
	for i, this := range others {
		if this.address.Port() == 0 {
			continue
		}
		if uint16(adminPort) == this.address.Port() {
			l.fail(keyAdminListen, "must use another port than --%s, which has port %d", l.settings[this.key].flag, adminPort)
		}
		for _, other := range others[:i] {
			if other.address == this.address {
				l.fail(this.key, "%s is already the address of --%s", this.address, l.settings[other.key].flag)
			}
		}
	}
}

// linkLocalAddresses returns the addresses that the command link-local names, or all
// that there are.
func (l *loader) linkLocalAddresses(named []string) (addresses []netip.Addr) {
	if len(named) == 0 {
		named = []string{ecsAddress, imdsAddress}
	}
	for i, name := range named {
		if name != ecsAddress && name != imdsAddress {
			l.problems = append(l.problems, fmt.Sprintf("%s: operand %d is neither %s nor %s", LinkLocal, i+1, ecsAddress, imdsAddress))
			continue
		}
		addresses = append(addresses, netip.MustParseAddr(name))
	}
	return addresses
}
