package check

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// meshTimeout bounds each connection within the pod, which needs no time.
const meshTimeout = 200 * time.Millisecond

// mesh returns what to do about a service mesh, if the pod is in one. refused is the address
// that refused a connection, or "".
func (r *run) mesh(ctx context.Context, refused string) []string {
	name, captures := r.Mesh(ctx, refused)
	switch {
	case captures:
		return []string{name + " redirects what this pod sends to its proxy, which does not run yet: this is proven, as a connection to " + refused +
			" came to the proxy's port. Start the proxy before the sidecar, or exclude the sidecar from " + name + " (docs/meshes.md)"}
	case name != "":
		return []string{name + " is in this pod: its proxy must start before the sidecar, and let its calls through or leave them alone (docs/meshes.md)"}
	}
	return nil
}

// InMesh returns the name of the service mesh that the pod is in, or "". captures reports that
// its proxy does not run, and that connections to refused are redirected to it all the same.
func InMesh(ctx context.Context, refused string) (name string, captures bool) {
	meshes := [...]struct {
		name    string
		admin   uint16 // on which the proxy listens once it runs
		capture uint16 // to which the rules of the pod redirect what it sends
	}{
		{"Istio", 15021, 15001}, // https://istio.io/latest/docs/ops/deployment/application-requirements/
		{"Istio", 15021, 15053}, // DNS, where it captures that
		{"Linkerd", 4191, 4140}, // https://linkerd.io/2/reference/proxy-configuration/
	}
	dialer := net.Dialer{Timeout: meshTimeout}
	for _, m := range meshes {
		if conn, err := dialer.DialContext(ctx, "tcp", loopback("127.0.0.1", m.admin)); err == nil {
			conn.Close()
			return m.name, false
		}
	}
	if refused == "" {
		return "", false
	}
	for _, m := range meshes {
		if redirects(ctx, refused, m.capture) {
			return m.name, true
		}
	}
	return "", false
}

// redirects reports whether a connection to address comes to that port of this pod. Nobody may
// read the rules but root. So it listens there itself for a moment, if nobody else does.
func redirects(ctx context.Context, address string, port uint16) bool {
	host := "127.0.0.1"
	if strings.HasPrefix(address, "[") { // the kernel redirects IPv6 to its own loopback address
		host = "::1"
	}
	ln, err := net.Listen("tcp", loopback(host, port))
	if err != nil {
		return false
	}
	defer ln.Close()
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(2 * meshTimeout))
	dialer := net.Dialer{Timeout: meshTimeout}
	sent, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer sent.Close()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return false
		}
		defer conn.Close()
		if conn.RemoteAddr().String() == sent.LocalAddr().String() { // another may be the sidecar's own
			return true
		}
	}
}

func loopback(host string, port uint16) string {
	return netip.AddrPortFrom(netip.MustParseAddr(host), port).String()
}
