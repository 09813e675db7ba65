package listen

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// queue is a listener that returns these connections and then fails.
type queue []net.Conn

var errQueueEmpty = errors.New("the queue is empty")

func (q *queue) Accept() (net.Conn, error) {
	if len(*q) == 0 {
		return nil, errQueueEmpty
	}
	conn := (*q)[0]
	*q = (*q)[1:]
	return conn, nil
}

func (q *queue) Close() error   { return nil }
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

// addressedConn is a connection that has only addresses.
type addressedConn struct {
	net.Conn
	remote, local net.Addr
	closed        bool
}

func (c *addressedConn) RemoteAddr() net.Addr { return c.remote }
func (c *addressedConn) LocalAddr() net.Addr  { return c.local }
func (c *addressedConn) Close() error         { c.closed = true; return nil }

// cmd/sidecar tests what the kernel does with such addresses, in network namespaces.
func TestLocalRejectsRemotePeers(t *testing.T) {
	t.Parallel()
	tcp := func(address string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)) }
	tests := []struct {
		name          string
		remote, local net.Addr
		want          bool
	}{
		{"loopback", tcp("127.0.0.1:50000"), tcp("127.0.0.1:9911"), true},
		{"loopback, IPv6", tcp("[::1]:50000"), tcp("[::1]:9911"), true},
		{"loopback, IPv4 in IPv6", tcp("[::ffff:127.0.0.1]:50000"), tcp("127.0.0.1:9911"), true},
		{"the ECS address", tcp("169.254.170.2:50000"), tcp("169.254.170.2:80"), true},
		{"the ECS address, IPv4 in IPv6", tcp("[::ffff:169.254.170.2]:50000"), tcp("169.254.170.2:80"), true},
		{"loopback, at the ECS address", tcp("127.0.0.1:50000"), tcp("169.254.170.2:80"), true},
		{"a mesh's proxy, for another pod", tcp("127.0.0.6:50000"), tcp("169.254.170.2:80"), false},
		{"another host", tcp("192.0.2.1:50000"), tcp("169.254.170.2:80"), false},
		{"the metadata address, which this pod does not have", tcp("169.254.169.254:50000"), tcp("169.254.170.2:80"), false},
		{"another host, IPv6", tcp("[2001:db8::1]:50000"), tcp("[::1]:80"), false},
		{"remote end is not TCP", &net.UnixAddr{Name: "x"}, tcp("127.0.0.1:9911"), false},
		{"both ends are not TCP", &net.UnixAddr{Name: "x"}, &net.UnixAddr{Name: "x"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := &addressedConn{remote: tt.remote, local: tt.local}
			got, err := Local(&queue{conn}).Accept()
			if accepted := got == conn && err == nil; accepted != tt.want || conn.closed == tt.want {
				t.Errorf("accepted: %t, closed: %t, error: %v", accepted, conn.closed, err)
			}
			if !tt.want && !errors.Is(err, errQueueEmpty) {
				t.Errorf("the next Accept returned %v", err)
			}
		})
	}
}
