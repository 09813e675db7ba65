package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	nodeAddress     = "10.9.0.1"
	podAddress      = "10.9.0.2"
	nodeIPv6        = "fd99::1"
	podIPv6         = "fd99::2"
	metadataIPv6    = "fd00:ec2::254"
	metadataAddress = "169.254.169.254"

	// dialTimeout leaves time for a second SYN, after a second.
	dialTimeout = 3 * time.Second
)

// node is a network namespace that plays the node, while the test's own plays the pod:
// the pod's default route, and the instance metadata service, are there.
type node struct {
	do chan func() // run by a thread in the namespace
}

// newNode makes a node, and the pod's eth0, which is connected to it.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{do: make(chan func())}
	t.Cleanup(func() { close(n.do) })
	made := make(chan *os.File)
	go func() {
		runtime.LockOSThread() // forever: the thread exits with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			t.Error(err)
		}
		namespace, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		made <- namespace
		for f := range n.do {
			f()
		}
	}()
	namespace := <-made
	defer namespace.Close()
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "veth0", PeerNamespace: netlink.NsFd(int(namespace.Fd())),
	}))
	addAddresses(t, "eth0", podAddress+"/24", podIPv6+"/64")
	n.run(func() {
		addAddresses(t, "lo", metadataAddress+"/32", metadataIPv6+"/128")
		addAddresses(t, "veth0", nodeAddress+"/24", nodeIPv6+"/64")
	})
	addRoute(t, "0.0.0.0/0", nodeAddress)
	addRoute(t, "::/0", nodeIPv6)
	return n
}

// run runs f in the node and waits for it.
func (n *node) run(f func()) {
	done := make(chan struct{})
	n.do <- func() { defer close(done); f() }
	<-done
}

// serveMetadata answers every request to the node's metadata addresses with "the node's".
func (n *node) serveMetadata(t *testing.T) {
	t.Helper()
	srv := &http.Server{ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the node's") })}
	t.Cleanup(func() { srv.Close() })
	n.run(func() {
		for _, address := range []string{metadataAddress, metadataIPv6} {
			ln, err := net.Listen("tcp", net.JoinHostPort(address, "80"))
			if err != nil {
				t.Error(err)
				return
			}
			go srv.Serve(ln)
		}
	})
}

// client returns a client whose connections use that device and that source address, if
// they are not empty.
func client(device, source string) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: bindToDevice(device)}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	return &http.Client{Timeout: 2 * dialTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       dialer.DialContext,
	}}
}

// bindToDevice returns a dialer's Control that binds the socket to a device, if that is
// not empty.
func bindToDevice(device string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if device == "" {
			return nil
		}
		return errors.Join(c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }), err)
	}
}

func addAddresses(t *testing.T, name string, addresses ...string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(link))
	for _, address := range addresses {
		parsed, err := netlink.ParseAddr(address)
		must(t, err)
		parsed.Flags = unix.IFA_F_NODAD // otherwise IPv6 takes a second to start
		must(t, netlink.AddrAdd(link, parsed))
	}
}

func removeAddress(t *testing.T, name, address string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	parsed, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrDel(link, parsed))
}

func addRoute(t *testing.T, destination, gateway string) {
	t.Helper()
	prefix, err := netlink.ParseIPNet(destination)
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{Dst: prefix, Gw: net.ParseIP(gateway)}))
}

// must fails the test on an error, but does not stop it: it may run in another goroutine.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
