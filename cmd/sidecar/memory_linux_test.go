package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// usage is what a sidecar uses at a time, or at most: bytes of memory, and connections,
// accepted or not.
type usage struct {
	anonymous, sockets, adminSockets int
	connections, adminConnections    int
}

func (u usage) total() int { return u.anonymous + u.sockets + u.adminSockets }

func (u usage) String() string {
	mib := func(bytes int) float64 { return float64(bytes) / (1 << 20) }
	return fmt.Sprintf("%.1f MiB: %.1f anonymous, %.1f of the sockets of the endpoint, %.1f of the admin port's",
		mib(u.total()), mib(u.anonymous), mib(u.sockets), mib(u.adminSockets))
}

// watchMemory returns what p used when it used most during an attack. The connections
// are the most at any time.
func watchMemory(t *testing.T, p *process, complete func(usage) bool) (peak usage) {
	endpoint, admin := netip.MustParseAddrPort(p.endpoint).Port(), netip.MustParseAddrPort(p.admin).Port()
	begin := time.Now()
	for time.Since(begin) < hostileTime || !complete(peak) && time.Since(begin) < hostilePatience {
		now := usage{anonymous: anonymousMemory(t, p)}
		now.sockets, now.connections = socketMemory(t, endpoint)
		now.adminSockets, now.adminConnections = socketMemory(t, admin)
		connections, adminConnections := max(peak.connections, now.connections), max(peak.adminConnections, now.adminConnections)
		if now.total() > peak.total() {
			peak = now
		}
		peak.connections, peak.adminConnections = connections, adminConnections
		time.Sleep(askPeriod)
	}
	return peak
}

// anonymousMemory returns the anonymous memory of p.
func anonymousMemory(t *testing.T, p *process) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Error(err)
	}
	var kib int
	_, after, _ := strings.Cut(string(status), "\nRssAnon:")
	if _, err := fmt.Sscanf(after, "%d kB", &kib); err != nil {
		t.Errorf("RssAnon: %v", err)
	}
	return kib << 10
}

const (
	skMemInfo         = 7  // INET_DIAG_SKMEMINFO of linux/inet_diag.h
	diagRequestLength = 56 // of its struct inet_diag_req_v2
	diagMessageLength = 72 // of its struct inet_diag_msg
)

// diagRequest asks for the memory of all sockets of TCP over IPv4.
type diagRequest struct{}

func (diagRequest) Len() int { return diagRequestLength }

func (diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestLength)
	b[0], b[1], b[2] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(skMemInfo-1)
	binary.NativeEndian.PutUint32(b[4:], 1<<unix.BPF_TCP_MAX_STATES-1)
	return b
}

// socketMemory returns what the kernel holds in the queues of the connections to that
// port: r and w of ss -tm.
func socketMemory(t *testing.T, port uint16) (bytes, connections int) {
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	request.AddData(diagRequest{})
	answers, err := request.Execute(unix.NETLINK_SOCK_DIAG, 0)
	if err != nil {
		t.Error(err)
	}
	for _, answer := range answers {
		if len(answer) < diagMessageLength || binary.BigEndian.Uint16(answer[4:]) != port {
			continue
		}
		attributes, err := nl.ParseRouteAttr(answer[diagMessageLength:])
		if err != nil {
			t.Error(err)
		}
		for _, a := range attributes {
			if a.Attr.Type == skMemInfo {
				connections++
				bytes += int(binary.NativeEndian.Uint32(a.Value)) + int(binary.NativeEndian.Uint32(a.Value[5*4:]))
			}
		}
	}
	return bytes, connections
}
