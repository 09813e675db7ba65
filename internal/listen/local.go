package listen

import (
	"net"
	"net/netip"
)

// Local returns a listener that accepts connections from within this network
// namespace only, and closes others at once.
//
// Linux takes a packet for any of its addresses from any interface (the weak host
// model). So anyone who can send to this pod's other interfaces can reach a link-local
// address of the loopback interface, and with the sysctl route_localnet 127.0.0.1 too. A
// connection from within has a source address of this namespace, and the kernel drops
// packets from elsewhere that claim one (fib_validate_source, in
// net/ipv4/fib_frontend.c). Addresses of 127.0.0.0/8 other than 127.0.0.1 do not count,
// although each reaches the others: from 127.0.0.6 Istio's proxy relays what comes from
// other pods, and no client takes one of its own accord.
func Local(ln net.Listener) net.Listener {
	return localListener{ln}
}

type localListener struct{ net.Listener }

func (ln localListener) Accept() (net.Conn, error) {
	for {
		conn, err := ln.Listener.Accept()
		if err != nil || isLocal(conn) {
			return conn, err
		}
		conn.Close()
	}
}

// isLocal reports whether the client of conn is in this network namespace.
func isLocal(conn net.Conn) bool {
	remote := ip(conn.RemoteAddr())
	if !remote.IsValid() || remote == ip(conn.LocalAddr()) {
		return remote.IsValid()
	}
	// A client may have chosen another address of this namespace as its own.
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, addr := range addrs {
		if prefix, ok := addr.(*net.IPNet); ok && prefix.IP.Equal(remote.AsSlice()) {
			return true
		}
	}
	return false
}

// ip returns the IP address of a TCP endpoint, the zero Addr if addr is none.
func ip(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
