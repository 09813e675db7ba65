package peer

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	testUID   = 1000
	sequence  = 7
	testInode = 4711
)

var (
	testClient = netip.MustParseAddrPort("127.0.0.1:50000")
	testServer = netip.MustParseAddrPort("127.0.0.1:9911")
)

// reply returns what the kernel says of a socket, after change has changed it. Its family
// is that of source.
func reply(source, destination netip.AddrPort, change func(m []byte)) []byte {
	m := make([]byte, replySize, replySize+100)
	binary.NativeEndian.PutUint32(m, replySize)
	binary.NativeEndian.PutUint16(m[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint32(m[8:], sequence)
	m[16], m[17] = unix.AF_INET, established
	if source.Addr().Is6() {
		m[16] = unix.AF_INET6
	}
	binary.BigEndian.PutUint16(m[20:], source.Port())
	binary.BigEndian.PutUint16(m[22:], destination.Port())
	copy(m[24:40], source.Addr().AsSlice())
	copy(m[40:56], destination.Addr().AsSlice())
	binary.NativeEndian.PutUint32(m[80:], testUID)
	binary.NativeEndian.PutUint32(m[84:], testInode)
	if change != nil {
		change(m)
	}
	return m
}

// P6: a reply that differs in anything from what the kernel says of this client's
// established socket has no owner. A mutant leaves out each comparison.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	other := func(addr string) netip.AddrPort { return netip.MustParseAddrPort(addr) }
	set := func(at int, value uint32) func([]byte) {
		return func(m []byte) { binary.NativeEndian.PutUint32(m[at:], value) }
	}
	state := func(state byte) []byte {
		return reply(testClient, testServer, func(m []byte) { m[17] = state })
	}
	failed := func(errno unix.Errno) []byte {
		return reply(testClient, testServer, func(m []byte) {
			binary.NativeEndian.PutUint16(m[4:], unix.NLMSG_ERROR)
			set(16, -uint32(errno))(m)
		})
	}
	tests := []struct {
		name  string
		reply []byte
		want  string
	}{
		{"nothing", nil, "to something else"},
		{"half a header", reply(testClient, testServer, nil)[:10], "to something else"},
		{"a header", reply(testClient, testServer, nil)[:16], "to something else"},
		{"half a socket", reply(testClient, testServer, nil)[:replySize-1], "no socket"},
		{"another sequence number", reply(testClient, testServer, set(8, sequence+1)), "to something else"},
		{"another type", reply(testClient, testServer, func(m []byte) { binary.NativeEndian.PutUint16(m[4:], unix.NLMSG_DONE) }), "no socket"},
		{"no such socket", failed(unix.ENOENT), "no such socket"},
		{"an error", failed(unix.EINVAL), "invalid argument"},
		{"an acknowledgement", failed(0), "errno 0"},
		{"another client port", reply(other("127.0.0.1:50001"), testServer, nil), "another socket"},
		{"another client address", reply(other("127.0.0.2:50000"), testServer, nil), "another socket"},
		{"another server port", reply(testClient, other("127.0.0.1:9912"), nil), "another socket"},
		{"another server address", reply(testClient, other("127.0.0.2:9911"), nil), "another socket"},
		{"the server's end", reply(testServer, testClient, nil), "another socket"},
		{"IPv6", reply(other("[::1]:50000"), other("[::1]:9911"), nil), "another socket"},
		{"IPv6 with the bytes of IPv4", reply(testClient, testServer, func(m []byte) { m[16] = unix.AF_INET6 }), "another socket"},
		{"another family", reply(other("[::ffff:127.0.0.1]:50000"), other("[::ffff:127.0.0.1]:9911"), func(m []byte) { m[16] = unix.AF_UNIX }), "another socket"},
		{"a listener", reply(testClient, other("0.0.0.0:0"), func(m []byte) { m[17] = 10 }), "another socket"},
		{"no owner", reply(testClient, testServer, set(84, 0)), "no owner"},
		{"no owner, as a closed socket", reply(testClient, testServer, func(m []byte) { set(80, 0)(m); set(84, 0)(m) }), "no owner"},
		{"SYN_SENT", state(2), "state 2"},
		{"SYN_RECV", state(3), "state 3"},
		{"FIN_WAIT1", state(4), "state 4"},
		{"FIN_WAIT2", state(5), "state 5"},
		{"TIME_WAIT", state(6), "state 6"},
		{"CLOSE", state(7), "state 7"},
		{"CLOSE_WAIT", state(8), "state 8"},
		{"LAST_ACK", state(9), "state 9"},
		{"LISTEN", state(10), "state 10"},
		{"CLOSING", state(11), "state 11"},
		{"no state", state(0), "state 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uid, err := parse(tt.reply, sequence, testClient, testServer)
			if err == nil || !strings.Contains(err.Error(), tt.want) || uid != 0 {
				t.Errorf("got %d, %v, want an error with %q", uid, err, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                     string
		client, server           string
		replyClient, replyServer string
		attributes               int
	}{
		{"IPv4", "127.0.0.1:50000", "127.0.0.1:9911", "127.0.0.1:50000", "127.0.0.1:9911", 0},
		{"IPv4 in IPv6", "127.0.0.1:50000", "127.0.0.1:9911", "[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:9911", 0},
		{"IPv6", "[::1]:50000", "[::1]:9911", "[::1]:50000", "[::1]:9911", 0},
		{"with attributes", "127.0.0.1:50000", "169.254.170.2:80", "127.0.0.1:50000", "169.254.170.2:80", 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reply(netip.MustParseAddrPort(tt.replyClient), netip.MustParseAddrPort(tt.replyServer), nil)
			uid, err := parse(r[:len(r)+tt.attributes], sequence, netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.server))
			if uid != testUID || err != nil {
				t.Errorf("got %d, %v, want %d", uid, err, testUID)
			}
		})
	}
}

// No reply makes parse panic, and none has an owner that is not about the client.
func FuzzParse(f *testing.F) {
	f.Add(reply(testClient, testServer, nil))
	f.Add(reply(testServer, testClient, nil))
	f.Fuzz(func(t *testing.T, m []byte) {
		if _, err := parse(m, sequence, testClient, testServer); err != nil {
			return
		}
		same := func(want []byte, from, to int) bool { return bytes.Equal(m[from:to], want[from:to]) }
		plain := reply(testClient, testServer, nil)
		mapped := reply(netip.MustParseAddrPort("[::ffff:127.0.0.1]:50000"), netip.MustParseAddrPort("[::ffff:127.0.0.1]:9911"), nil)
		if !(same(plain, 16, 18) && same(plain, 20, 28) && same(plain, 40, 44)) && !(same(mapped, 16, 18) && same(mapped, 20, 56)) {
			t.Errorf("accepted %x", m)
		}
	})
}
