package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isLocalHost reports whether the Host of r is localhost, a loopback address or the
// address that the connection was accepted on, with or without a port, or whether there
// is none. Any other is a name that an attacker made resolve to this endpoint's address
// (DNS rebinding), which always comes with a Host: a browser sends it.
//
// Of the AWS C runtime, some releases send no port, leave an IPv6 address without its
// brackets (aws-crt 1.33.2), or send no Host at all (before aws-crt 1.14).
//
// It reads r.Host, because net/http keeps that header out of r.Header.
func isLocalHost(r *http.Request) bool {
	if r.Host == "" {
		return true
	}
	if addr, err := netip.ParseAddr(r.Host); err == nil {
		return isLocalAddr(r, addr)
	}
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if !isPort(host[i+1:]) {
			return false
		}
		host = host[:i]
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if bracketed {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is6() == bracketed && isLocalAddr(r, addr)
}

// isLocalAddr reports whether addr is a loopback address, or the one that r came to.
func isLocalAddr(r *http.Request, addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	if addr.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap() == addr
}

func isPort(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 5
}
