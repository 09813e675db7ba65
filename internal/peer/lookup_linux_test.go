package peer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// P6: every kind of client is found, as the user who made its socket.
func TestLookup(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	v4, v6 := open(t, "127.0.0.1:0"), open(t, "[::1]:0")
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	none := func(int) error { return nil }
	bound := func(fd int) error { return unix.BindToDevice(fd, "lo") }
	tests := []struct {
		name             string
		family, protocol int
		prepare          func(fd int) error
		from, to, server netip.AddrPort
	}{
		{"IPv4", unix.AF_INET, 0, none, anyPort, v4, v4},
		{"IPv4 from another address", unix.AF_INET, 0, none, netip.MustParseAddrPort("127.0.0.2:0"), v4, v4},
		{"IPv4 in IPv6, as Java's", unix.AF_INET6, 0, none, mapped(anyPort), mapped(v4), v4},
		{"IPv6", unix.AF_INET6, 0, none, netip.MustParseAddrPort("[::1]:0"), v6, v6},
		{"bound to the loopback interface", unix.AF_INET, 0, bound, anyPort, v4, v4},
		{"multipath TCP", unix.AF_INET, unix.IPPROTO_MPTCP, none, anyPort, v4, v4},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var client netip.AddrPort
			as(t, 1000+i, func() {
				fd := socket(t, tt.family, tt.protocol)
				if err := tt.prepare(fd); err != nil {
					t.Error(err)
				}
				client = connect(t, fd, tt.from, tt.to)
			})
			want(t, client, tt.server, uint32(1000+i))
		})
	}
}

// P6: four connections with the same ports, and two with the same addresses as well, in
// another namespace or bound to another interface, are distinguished.
func TestLookupOfEqualPorts(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	first := open(t, "127.0.0.1:0")
	open(t, "127.0.0.3"+port(first.Port()))
	open(t, "[::1]"+port(first.Port()))
	pair := func(from, to string, clientPort uint16) (netip.AddrPort, netip.AddrPort) {
		return netip.MustParseAddrPort(from + port(clientPort)), netip.MustParseAddrPort(to + port(first.Port()))
	}
	var client netip.AddrPort
	as(t, 1000, func() { client = connect(t, socket(t, unix.AF_INET, 0), anyPort, first) })
	pairs := []struct{ from, to string }{
		{"127.0.0.1", "127.0.0.1"}, {"127.0.0.2", "127.0.0.1"}, {"127.0.0.1", "127.0.0.3"}, {"[::1]", "[::1]"},
	}
	for i, p := range pairs[1:] {
		from, to := pair(p.from, p.to, client.Port())
		as(t, 1001+i, func() { connect(t, socket(t, family(from), 0), from, to) })
	}
	elsewhere(t, func() {
		server := open(t, first.String())
		if err := unix.Setfsuid(2000); err != nil {
			t.Error(err)
		}
		connect(t, socket(t, unix.AF_INET, 0), client, server)
		want(t, client, server, 2000)
		from, to := pair("127.0.0.2", "127.0.0.1", client.Port())
		wantNobody(t, from, to, "no such socket")
	})
	for i, p := range pairs {
		from, to := pair(p.from, p.to, client.Port())
		want(t, from, to, uint32(1000+i))
	}
	from, to := pair("127.0.0.2", "127.0.0.3", client.Port())
	wantNobody(t, from, to, "no such socket")
}

// P6: another user's socket with the same addresses and ports is never the answer, because
// it receives nothing from the server: it is bound to another interface.
func TestLookupOfEqualAddresses(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	elsewhere(t, func() {
		client, endpoint := netip.MustParseAddrPort("10.9.0.2:50000"), netip.MustParseAddrPort("169.254.170.2:80")
		if err := addInterface("eth0", client.Addr(), endpoint.Addr()); err != nil {
			t.Error(err)
			return
		}
		server := open(t, endpoint.String())
		stranger := socket(t, unix.AF_INET, 0)
		unix.SetsockoptInt(stranger, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		for _, err := range []error{
			unix.BindToDevice(stranger, "eth0"), unix.SetNonblock(stranger, true), unix.Bind(stranger, sockaddr(client)),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if err := unix.Connect(stranger, sockaddr(server)); !errors.Is(err, unix.EINPROGRESS) {
			t.Errorf("the stranger's connection: got %v, want one that is under way", err)
		}
		wantNobody(t, client, server, "no such socket")
		if err := unix.Setfsuid(1000); err != nil {
			t.Error(err)
		}
		connect(t, socket(t, unix.AF_INET, 0), client, server)
		want(t, client, server, 1000)
	})
}

// P6: a socket that is gone, or not yet there, has no owner, whatever else the kernel has
// in its place. A closed one would otherwise be that of user 0.
func TestLookupOfSocketsThatAreGone(t *testing.T) {
	t.Parallel()
	server := open(t, "127.0.0.1:0")
	dial := func(t *testing.T) (fd int, client netip.AddrPort) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		client = connect(t, fd, anyPort, server)
		want(t, client, server, uint32(os.Geteuid()))
		return fd, client
	}
	t.Run("closed", func(t *testing.T) {
		fd, client := dial(t)
		unix.Close(fd)
		wantNobody(t, client, server, "not established")
	})
	t.Run("reset", func(t *testing.T) {
		fd, client := dial(t)
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
		wantNobody(t, client, server, "no such socket")
	})
	t.Run("half closed", func(t *testing.T) {
		fd, client := dial(t)
		defer unix.Close(fd)
		unix.Shutdown(fd, unix.SHUT_WR)
		wantNobody(t, client, server, "not established")
	})
	t.Run("never there", func(t *testing.T) {
		client := netip.AddrPortFrom(anyPort.Addr(), 1)
		wantNobody(t, client, server, "no such socket")
	})
	t.Run("a listener", func(t *testing.T) {
		wantNobody(t, open(t, "127.0.0.1:0"), server, "another socket")
	})
	t.Run("a listener on all addresses", func(t *testing.T) {
		listener := open(t, "0.0.0.0:0")
		wantNobody(t, netip.AddrPortFrom(anyPort.Addr(), listener.Port()), server, "another socket")
	})
	t.Run("no TCP", func(t *testing.T) {
		wantNobody(t, netip.AddrPort{}, server, "not a TCP connection")
		wantNobody(t, server, netip.AddrPort{}, "not a TCP connection")
		wantNobody(t, netip.MustParseAddrPort("[::1]:1"), server, "not a TCP connection")
	})
}

// P6: many at once, each with its own user, and none of them another's.
func TestLookupOfManyAtOnce(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	server := open(t, "127.0.0.1:0")
	const users, each = 8, 50
	var f Finder
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			as(t, 1000+i, func() {
				for range each {
					client := connect(t, socket(t, unix.AF_INET, 0), anyPort, server)
					if uid, err := f.Lookup(client, server); int(uid) != 1000+i || err != nil {
						t.Errorf("got user %d, %v, want %d", uid, err, 1000+i)
					}
				}
			})
		})
	}
	all.Wait()
}

func TestVerify(t *testing.T) {
	t.Parallel()
	if err := new(Finder).Verify(); err != nil {
		t.Error(err)
	}
}

// P6: Identify finds the owner when the connection is accepted, and UID repeats that.
func TestIdentify(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var f Finder
	ctx := f.Identify(t.Context(), conn)
	client.Close()
	if uid, err := UID(ctx); int(uid) != os.Geteuid() || err != nil {
		t.Errorf("got user %d, %v", uid, err)
	}
	if uid, err := UID(f.Identify(t.Context(), conn)); err == nil {
		t.Errorf("of a closed client: got user %d", uid)
	}
	if uid, err := UID(t.Context()); err == nil {
		t.Errorf("of no connection: got user %d", uid)
	}
	pipe, _ := net.Pipe()
	if uid, err := UID(f.Identify(t.Context(), pipe)); err == nil {
		t.Errorf("of a pipe: got user %d", uid)
	}
}

// P6: the client is identified, not this end of the connection.
func TestIdentifyTheClient(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	server := netip.MustParseAddrPort(ln.Addr().String())
	as(t, 1000, func() { connect(t, socket(t, unix.AF_INET, 0), anyPort, server) })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if uid, err := UID(new(Finder).Identify(t.Context(), conn)); uid != 1000 || err != nil {
		t.Errorf("got user %d, %v, want 1000", uid, err)
	}
}
