// Package peer finds out which user is at the other end of a TCP connection from within
// this network namespace. Containers of a pod share addresses and ports, but the kernel
// knows which user made each socket, and any process may ask.
//
// It is separate from what is decided by that, so that all there is to know about the
// kernel's answer is in one place.
package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
)

// errUnknown is the answer for a connection that Identify has not seen.
var errUnknown = errors.New("the client was not looked up")

type ownerKey struct{}

// owner is what Identify has found.
type owner struct {
	uid uint32
	err error
}

// Finder asks the kernel. The zero value is ready to use. It is safe for concurrent use.
type Finder struct {
	mu     sync.Mutex // guards kernel
	kernel kernel
}

// Identify is the ConnContext of an http.Server whose handlers call UID. It looks the
// client up once per connection, when that is accepted: a socket keeps its owner, however
// many requests come over it.
func (f *Finder) Identify(ctx context.Context, conn net.Conn) context.Context {
	found := new(owner)
	found.uid, found.err = f.find(conn.RemoteAddr(), conn.LocalAddr())
	return context.WithValue(ctx, ownerKey{}, found)
}

// UID returns the user id of the client of the connection that ctx belongs to. It is that
// in the user namespace of this process. Whatever is not certain is an error.
func UID(ctx context.Context) (uint32, error) {
	found, ok := ctx.Value(ownerKey{}).(*owner)
	if !ok {
		return 0, errUnknown
	}
	return found.uid, found.err
}

// Verify looks up a connection of this process with itself. An error means that Lookup
// will find nobody on this kernel.
func (f *Finder) Verify() error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	uid, err := f.find(conn.LocalAddr(), conn.RemoteAddr())
	if err == nil && int(uid) != os.Geteuid() {
		return errors.New("it names another user")
	}
	return err
}

func (f *Finder) find(client, server net.Addr) (uid uint32, err error) {
	return f.Lookup(address(client), address(server))
}

// address returns a TCP endpoint, the zero AddrPort if addr is none. An IPv4 address in
// IPv6 form becomes a plain one.
func address(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port())
}
