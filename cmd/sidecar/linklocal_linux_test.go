package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"irsa-sidecar/internal/linklocal"
)

// mustLinkLocal runs sidecar link-local.
func mustLinkLocal(t *testing.T, args ...string) {
	t.Helper()
	if status, output := outcome(command(t, nil, append([]string{"link-local"}, args...)...)); status != 0 {
		t.Fatalf("link-local exits with %d: %s", status, output)
	}
}

// P6: with link-local the role of the node is out of reach, however one asks.
func TestTheNodeIsOutOfReach(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	newNode(t).serveMetadata(t)
	const v4, v6 = "http://" + metadataAddress, "http://[" + metadataIPv6 + "]"
	ways := []struct {
		name   string
		client *http.Client
		url    string
	}{
		{"plainly", client("", ""), v4},
		{"from the pod's address", client("", podAddress), v4},
		{"from eth0", client("eth0", ""), v4},
		{"from eth0 and the pod's address", client("eth0", podAddress), v4},
		{"over IPv6", client("", ""), v6},
		{"over IPv6 from the pod's address", client("", podIPv6), v6},
		{"over IPv6 from eth0", client("eth0", ""), v6},
		{"over IPv6 from eth0 and the pod's address", client("eth0", podIPv6), v6},
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); got != "the node's" {
			t.Fatalf("%s, without link-local: got %s", way.name, got)
		}
	}
	mustLinkLocal(t, "169.254.170.2")
	for _, way := range ways {
		if got := fetch(way.client, way.url); got != "the node's" {
			t.Fatalf("%s, with the ECS address alone: got %s", way.name, got)
		}
	}
	for range 2 { // a container may be started again
		mustLinkLocal(t)
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); strings.Contains(got, "the node's") {
			t.Errorf("%s: got %s", way.name, got)
		}
	}
}

func TestLinkLocalAddsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	mustLinkLocal(t, "169.254.170.2")
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	has := func(address string) bool {
		addrs, err := lo.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.String() == address })
	}
	if !has("169.254.170.2/32") || has("169.254.169.254/32") {
		t.Error("it has not just 169.254.170.2")
	}
	mustLinkLocal(t)
	if !has("169.254.170.2/32") || !has("169.254.169.254/32") {
		t.Error("it has not both addresses")
	}
}

// A pod with hostNetwork has a node's network. Taking the metadata address away
// from a node would take its role from everything there.
func TestLinkLocalRefusesANode(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		// This may be a container, in which nothing tells.
		if _, err := os.Stat("/proc/sys/net/core/netdev_max_backlog"); err == nil && linklocal.Add(t.Context(), nil, slog.New(slog.DiscardHandler)) == nil {
			t.Error("this machine is taken for a pod")
		}
		return
	}
	if err := linklocal.Add(t.Context(), nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a pod is refused: %v", err)
	}
	// A node that is a container itself, with a kubelet.
	for _, address := range []string{"127.0.0.1:10248", "127.0.0.1:10250"} {
		kubelet, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		status, output := outcome(command(t, nil, "link-local"))
		if status != 1 || !strings.Contains(output, "hostNetwork") {
			t.Errorf("with %s it exits with %d: %s", address, status, output)
		}
		kubelet.Close()
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := linklocal.Add(ended, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a kubelet that cannot be asked is taken for none")
	}
	if ln, err := net.Listen("tcp", metadataAddress+":0"); err == nil {
		ln.Close()
		t.Error("the node has the address")
	}
}

// Whether the addresses lead here is tried, not taken for granted: rules may come
// before that of the local addresses.
func TestLinkLocalVerifies(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	local := netlink.NewRule()
	local.Family, local.Table, local.Priority = netlink.FAMILY_V4, unix.RT_TABLE_LOCAL, 100
	must(t, netlink.RuleAdd(local))
	local.Priority = 0
	must(t, netlink.RuleDel(local))
	away := netlink.NewRule()
	away.Family, away.Priority, away.Type = netlink.FAMILY_V4, 1, unix.RTN_PROHIBIT
	away.Dst = &net.IPNet{IP: net.IPv4(169, 254, 170, 2).To4(), Mask: net.CIDRMask(32, 32)}
	must(t, netlink.RuleAdd(away))
	if status, output := outcome(command(t, nil, "link-local", "169.254.170.2")); status != 1 || !strings.Contains(output, "verifying 169.254.170.2") {
		t.Errorf("with an address that leads elsewhere it exits with %d: %s", status, output)
	}
	mustLinkLocal(t, metadataAddress) // which leads here
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetDown(lo))
	if status, output := outcome(command(t, nil, "link-local")); status != 1 || !strings.Contains(output, "check that the loopback interface is up") {
		t.Errorf("without a loopback interface it exits with %d: %s", status, output)
	}
}

func TestLinkLocalTakesTwoAddresses(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"10.0.0.1", "::1", "ecs", ""} {
		if status, output := outcome(command(t, nil, "link-local", word)); status != 2 || !strings.Contains(output, "is neither 169.254.170.2 nor 169.254.169.254") {
			t.Errorf("link-local %q exits with %d: %s", word, status, output)
		}
	}
}
