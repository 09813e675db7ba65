package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mustBeRoot skips a test that needs other user ids or network namespaces.
func mustBeRoot(t *testing.T) {
	t.Helper()
	if uid := os.Geteuid(); uid != 0 {
		t.Skipf("user id %d cannot become another, nor make a network namespace; root can", uid)
	}
}

// as calls f on a thread whose sockets are those of uid. The thread ends with the call, so
// that nothing else runs on it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	onThread(t, func() error { return unix.Setfsuid(uid) }, f)
}

// elsewhere calls f on a thread that is in a new network namespace.
func elsewhere(t *testing.T, f func()) {
	t.Helper()
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return raiseLoopback()
	}, f)
}

func onThread(t *testing.T, prepare func() error, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		err := prepare()
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// raiseLoopback starts the loopback interface of the thread's network namespace.
func raiseLoopback() error {
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// socket makes a TCP socket, and closes it when the test ends.
func socket(t *testing.T, family, protocol int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Error(err)
		return -1
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// open listens on an address, whose port may be 0, and returns it.
func open(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	fd := socket(t, family(netip.MustParseAddrPort(address)), 0)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	err := unix.Bind(fd, sockaddr(netip.MustParseAddrPort(address)))
	if strings.HasPrefix(address, "[::1]") && errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1000); err != nil {
		t.Fatal(err)
	}
	return name(t, fd)
}

// connect connects from an address to another one, and returns the former.
func connect(t *testing.T, fd int, from, to netip.AddrPort) netip.AddrPort {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, sockaddr(from)); err != nil {
		t.Errorf("binding %s: %v", from, err)
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil {
		t.Errorf("connecting %s to %s: %v", from, to, err)
	}
	return name(t, fd)
}

func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// name returns the local address of a socket.
func name(t *testing.T, fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Error(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// want fails the test unless the client's socket is that of a user.
func want(t *testing.T, client, server netip.AddrPort, uid uint32) {
	t.Helper()
	if got, err := new(Finder).Lookup(client, server); got != uid || err != nil {
		t.Errorf("%s to %s: got user %d, %v, want %d", client, server, got, err, uid)
	}
}

// wantNobody fails the test if the client has a socket.
func wantNobody(t *testing.T, client, server netip.AddrPort, reason string) {
	t.Helper()
	if uid, err := new(Finder).Lookup(client, server); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s to %s: got user %d, %v, want an error with %q", client, server, uid, err, reason)
	}
}

func port(p uint16) string { return fmt.Sprintf(":%d", p) }

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// addInterface makes an interface, with a route to everything, and adds the addresses to
// the loopback interface of the thread's network namespace.
func addInterface(name string, addresses ...netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}}); err != nil {
			return err
		}
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "peer0"}); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK})
}
