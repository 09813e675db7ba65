package server

import (
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// checkOrigin returns why r cannot come from an SDK in this pod, nil if it can. It comes
// before every other check: whoever comes through a browser or a proxy learns nothing
// about paths.
func checkOrigin(r *http.Request) *refusal {
	if !isLocalHost(r) {
		return &refusal{reason: "host", status: http.StatusForbidden, code: "HostNotAllowed",
			message: "the Host header must be localhost or an address of this endpoint: use http://127.0.0.1 in AWS_CONTAINER_CREDENTIALS_FULL_URI"}
	}
	if name := forwardedBy(r.Header); name != "" {
		return &refusal{reason: "forwarded", status: http.StatusForbidden, code: "ForwardedRequest",
			message: fmt.Sprintf("request rejected: it carries the header %s, which proxies and browsers send and SDKs do not; set NO_PROXY=127.0.0.1,localhost,169.254.170.2,169.254.169.254 in the application's container", name)}
	}
	return nil
}

func methodNotAllowed(methods string) *refusal {
	return &refusal{reason: "method", status: http.StatusMethodNotAllowed, code: "MethodNotAllowed",
		message: "method not allowed: use " + methods, allow: methods}
}

func unauthorized(message string) *refusal {
	return &refusal{reason: "authorization", status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}

// reads reports whether r only reads.
func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// isLocalHost reports whether the Host of r is localhost, a loopback address or the
// address that the connection was accepted on, with or without a port: the AWS
// C runtime sends none, and leaves an IPv6 address without its brackets (aws-crt
// 1.33.2). Any other name is one that an attacker made resolve to a loopback
// address (DNS rebinding).
//
// It reads r.Host, because net/http keeps that header out of r.Header.
func isLocalHost(r *http.Request) bool {
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

// forwardedBy returns a header that shows that a proxy or a browser sent the request,
// empty if there is none: the proxies through which server-side request forgery comes,
// and web pages, add one of these, and no SDK does.
func forwardedBy(h http.Header) string {
	for name := range h {
		switch name {
		case "Forwarded", "Via", "Origin", "Referer":
			return name
		}
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sec-Fetch-") {
			return name
		}
	}
	return ""
}

// equal compares in a time that depends on the lengths alone.
func equal(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
