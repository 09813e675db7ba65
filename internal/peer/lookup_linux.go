package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The layout of linux/netlink.h and linux/inet_diag.h, in bytes: a message is a header
// and a body, which for a request is an inet_diag_req_v2 and for its reply begins with an
// inet_diag_msg. Both have an inet_diag_sockid.
const (
	headerSize  = 16
	requestSize = headerSize + 56
	replySize   = headerSize + 72

	// established is TCP_ESTABLISHED of net/tcp_states.h.
	established = 1

	// loopback is the index of the loopback interface, in every network namespace
	// (LOOPBACK_IFINDEX of net/flow.h).
	loopback = 1
)

// Lookup returns the user id of the socket that a client of this network namespace has at
// its end of an established connection with server.
//
// The kernel is asked for that one socket by its addresses and ports, and for the
// loopback interface, as when it looks for who receives a packet from server. So nobody
// else's socket can be the answer: not one with the same ports, nor one that is bound to
// another interface. Where there is no such socket any more, or it has no owner, or the
// kernel answers anything else, Lookup returns an error: closed sockets would be those of
// user 0.
func (f *Finder) Lookup(client, server netip.AddrPort) (uid uint32, err error) {
	if !client.IsValid() || !server.IsValid() || client.Addr().Is4() != server.Addr().Is4() {
		return 0, errors.New("not a TCP connection")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	reply, err := f.kernel.ask(client, server)
	if err == nil {
		uid, err = parse(reply, f.kernel.sequence, client, server)
	}
	if err != nil {
		f.kernel.hangUp()
		return 0, fmt.Errorf("asking the kernel: %w", err)
	}
	return uid, nil
}

// kernel is a socket of sock_diag(7), which needs no privilege. It stays open for as long
// as all goes well, so that looking somebody up takes no new file descriptor. After an
// error there is a new one: what may still come over the old one answers nothing.
type kernel struct {
	fd       int
	isOpen   bool
	sequence uint32 // of the latest request
}

// ask sends a request and returns the reply. It never waits: the kernel has replied when
// sendto(2) returns.
func (k *kernel) ask(client, server netip.AddrPort) (reply []byte, err error) {
	if !k.isOpen {
		k.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return nil, err
		}
		k.isOpen = true
	}
	k.sequence++
	if err := unix.Sendto(k.fd, request(k.sequence, client, server), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	reply = make([]byte, 256)
	n, from, err := unix.Recvfrom(k.fd, reply, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	// A process with CAP_NET_ADMIN can write to the socket as well.
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil, errors.New("the reply is not from the kernel")
	}
	return reply[:n], nil
}

// hangUp closes the socket, if it is open.
func (k *kernel) hangUp() {
	if k.isOpen {
		unix.Close(k.fd)
		k.isOpen = false
	}
}

// request returns the message that asks for the client's socket.
func request(sequence uint32, client, server netip.AddrPort) []byte {
	native, network := binary.NativeEndian, binary.BigEndian
	var m [requestSize]byte
	native.PutUint32(m[0:], requestSize)
	native.PutUint16(m[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST)
	native.PutUint32(m[8:], sequence)
	m[16] = unix.AF_INET // which also finds sockets of AF_INET6 that speak IPv4, as Java's
	if client.Addr().Is6() {
		m[16] = unix.AF_INET6
	}
	m[17] = unix.IPPROTO_TCP
	native.PutUint32(m[20:], 1<<established)
	network.PutUint16(m[24:], client.Port())
	network.PutUint16(m[26:], server.Port())
	copy(m[28:44], client.Addr().AsSlice())
	copy(m[44:60], server.Addr().AsSlice())
	native.PutUint32(m[60:], loopback)
	native.PutUint64(m[64:], ^uint64(0)) // INET_DIAG_NOCOOKIE: whichever socket it is
	return m[:]
}

// parse returns the owner of the client's socket that a reply is about, or an error if it
// is about anything else.
func parse(reply []byte, sequence uint32, client, server netip.AddrPort) (uid uint32, err error) {
	native, network := binary.NativeEndian, binary.BigEndian
	if len(reply) < headerSize+4 || native.Uint32(reply[8:]) != sequence {
		return 0, errors.New("the reply is to something else")
	}
	if native.Uint16(reply[4:]) == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(native.Uint32(reply[headerSize:])))
		if errno == unix.ENOENT { // also if the kernel has no tcp_diag
			return 0, errors.New("there is no such socket")
		}
		return 0, errno
	}
	if native.Uint16(reply[4:]) != unix.SOCK_DIAG_BY_FAMILY || len(reply) < replySize {
		return 0, errors.New("the reply is no socket")
	}
	m := reply[headerSize:]
	family, state := m[0], m[1]
	source := netip.AddrPortFrom(fieldAddr(family, m[8:]), network.Uint16(m[4:]))
	destination := netip.AddrPortFrom(fieldAddr(family, m[24:]), network.Uint16(m[6:]))
	uid, inode := native.Uint32(m[64:]), native.Uint32(m[68:])
	switch {
	case source != client || destination != server:
		// If there is no such connection the kernel offers whoever listens at the
		// client's address.
		return 0, errors.New("the reply is another socket")
	case state != established:
		return 0, fmt.Errorf("the client's socket is in state %d, which is not established", state)
	case inode == 0:
		return 0, errors.New("the client's socket has no owner")
	}
	return uid, nil
}

// fieldAddr returns the address in a field, the zero Addr if family has none. An IPv4
// address in IPv6 form becomes a plain one.
func fieldAddr(family byte, field []byte) netip.Addr {
	switch family {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(field))
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(field)).Unmap()
	}
	return netip.Addr{}
}
