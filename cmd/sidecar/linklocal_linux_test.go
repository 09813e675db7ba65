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
		t.Fatalf("link-local: exit status %d: %s", status, output)
	}
}

// P6: after link-local no request from the pod reaches the node's metadata service, and
// so the node's role.
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
		{"from any address", client("", ""), v4},
		{"from the pod's address", client("", podAddress), v4},
		{"from eth0", client("eth0", ""), v4},
		{"from eth0 and the pod's address", client("eth0", podAddress), v4},
		{"over IPv6 from any address", client("", ""), v6},
		{"over IPv6 from the pod's address", client("", podIPv6), v6},
		{"over IPv6 from eth0", client("eth0", ""), v6},
		{"over IPv6 from eth0 and the pod's address", client("eth0", podIPv6), v6},
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); got != "the node's" {
			t.Fatalf("%s, before link-local: got %s", way.name, got)
		}
	}
	mustLinkLocal(t, "169.254.170.2")
	for _, way := range ways {
		if got := fetch(way.client, way.url); got != "the node's" {
			t.Fatalf("%s, after link-local with only the ECS address: got %s", way.name, got)
		}
	}
	for range 2 { // its container may be restarted
		mustLinkLocal(t)
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); strings.Contains(got, "the node's") {
			t.Errorf("%s, after link-local: got %s", way.name, got)
		}
	}
}

func TestLinkLocalAddsTheNamedAddresses(t *testing.T) {
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
		t.Error("link-local 169.254.170.2 did not add only that address")
	}
	mustLinkLocal(t)
	if !has("169.254.170.2/32") || !has("169.254.169.254/32") {
		t.Error("link-local did not add both addresses")
	}
}

// A pod with hostNetwork is in the network of its node. Taking the metadata address away
// from the node would cut off everything there from the node's role.
func TestLinkLocalRefusesANode(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		// This may run in a container, where link-local cannot recognise a node.
		if _, err := os.Stat("/proc/sys/net/core/netdev_max_backlog"); err == nil && linklocal.Add(t.Context(), nil, slog.New(slog.DiscardHandler)) == nil {
			t.Error("link-local does not refuse this machine")
		}
		return
	}
	if err := linklocal.Add(t.Context(), nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("link-local refuses a pod: %v", err)
	}
	// A node that is itself a container, with a kubelet.
	for _, address := range []string{"127.0.0.1:10248", "127.0.0.1:10250"} {
		kubelet, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		status, output := outcome(command(t, nil, "link-local"))
		if status != 1 || !strings.Contains(output, "hostNetwork") {
			t.Errorf("with a listener on %s: exit status %d: %s", address, status, output)
		}
		kubelet.Close()
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := linklocal.Add(canceled, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("link-local continues although it could not check for a kubelet")
	}
	if ln, err := net.Listen("tcp", metadataAddress+":0"); err == nil {
		ln.Close()
		t.Error("link-local gave the node the metadata address")
	}
}

// link-local checks that packets to the addresses stay in the pod: other routing rules
// may come before the rule for local addresses.
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
		t.Errorf("with an address that is routed elsewhere: exit status %d: %s", status, output)
	}
	mustLinkLocal(t, metadataAddress) // no rule routes this one elsewhere
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetDown(lo))
	if status, output := outcome(command(t, nil, "link-local")); status != 1 || !strings.Contains(output, "check that the loopback interface is up") {
		t.Errorf("without a loopback interface: exit status %d: %s", status, output)
	}
}

func TestLinkLocalRejectsOtherAddresses(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"10.0.0.1", "::1", "ecs", ""} {
		if status, output := outcome(command(t, nil, "link-local", word)); status != 2 || !strings.Contains(output, "is neither 169.254.170.2 nor 169.254.169.254") {
			t.Errorf("link-local %q: exit status %d: %s", word, status, output)
		}
	}
}
