package listen

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// queue is a listener that has accepted these connections, and then ends.
type queue []net.Conn

var errQueueEnds = errors.New("the queue ends")

func (q *queue) Accept() (net.Conn, error) {
	if len(*q) == 0 {
		return nil, errQueueEnds
	}
	conn := (*q)[0]
	*q = (*q)[1:]
	return conn, nil
}

func (q *queue) Close() error   { return nil }
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

// ends is a connection of which only its ends matter.
type ends struct {
	net.Conn
	remote, local net.Addr
	closed        bool
}

func (e *ends) RemoteAddr() net.Addr { return e.remote }
func (e *ends) LocalAddr() net.Addr  { return e.local }
func (e *ends) Close() error         { e.closed = true; return nil }

// What the kernel makes of such addresses is tried in cmd/sidecar, in network
// namespaces.
func TestLocalTurnsAwayStrangers(t *testing.T) {
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
		{"from elsewhere", tcp("192.0.2.1:50000"), tcp("169.254.170.2:80"), false},
		{"from the metadata address, which is not here", tcp("169.254.169.254:50000"), tcp("169.254.170.2:80"), false},
		{"from elsewhere, IPv6", tcp("[2001:db8::1]:50000"), tcp("[::1]:80"), false},
		{"not TCP", &net.UnixAddr{Name: "x"}, tcp("127.0.0.1:9911"), false},
		{"neither is", &net.UnixAddr{Name: "x"}, &net.UnixAddr{Name: "x"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := &ends{remote: tt.remote, local: tt.local}
			got, err := Local(&queue{conn}).Accept()
			if passes := got == conn && err == nil; passes != tt.want || conn.closed == tt.want {
				t.Errorf("passes: %t, closed: %t, error: %v", passes, conn.closed, err)
			}
			if !tt.want && !errors.Is(err, errQueueEnds) {
				t.Errorf("after it: %v", err)
			}
		})
	}
}
