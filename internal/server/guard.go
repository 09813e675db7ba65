package server

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard says who may ask at the container credentials endpoint.
type Guard struct {
	// Path is the only path that is answered, without a slash at its end; a
	// request may have one. It may be a secret: it is compared in constant
	// time and never repeated.
	Path string

	// Authorization is what the Authorization header must be; nil: anything.
	Authorization *Authorization
}

// refusal is the answer to a request that a guard turns away.
type refusal struct {
	reason  string // the label of irsa_sidecar_requests_refused_total; empty: not counted there
	status  int
	code    string
	message string
	allow   string // the methods that are allowed, if it was for the method
}

func notAllowed(methods string) *refusal {
	return &refusal{reason: "method", status: http.StatusMethodNotAllowed, code: "MethodNotAllowed",
		message: "only " + methods + " are answered", allow: methods}
}

// strange returns why a request cannot be one of a program in this pod that asks
// an SDK for credentials, nil if it can. It comes before all else: who comes
// through a browser or a relay learns nothing about paths.
func strange(r *http.Request) *refusal {
	switch {
	case !localHost(r):
		return &refusal{reason: "host", status: http.StatusForbidden, code: "HostNotAllowed",
			message: "the Host header must be an address of this endpoint or localhost: use http://127.0.0.1 in AWS_CONTAINER_CREDENTIALS_FULL_URI"}
	case relayed(r.Header):
		return &refusal{reason: "forwarded", status: http.StatusForbidden, code: "ForwardedRequest",
			message: "the request comes through a proxy or a browser, which no SDK's does: set NO_PROXY=127.0.0.1,localhost,169.254.170.2,169.254.169.254 in the application's container"}
	}
	return nil
}

func (g *Guard) check(r *http.Request) *refusal {
	if refused := strange(r); refused != nil {
		return refused
	}
	switch {
	case !equal(strings.TrimSuffix(r.URL.Path, "/"), g.Path):
		return &refusal{reason: "path", status: http.StatusNotFound, code: "NotFound",
			message: "no credentials at this path: compare AWS_CONTAINER_CREDENTIALS_FULL_URI, or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, with the sidecar's SIDECAR_PATH"}
	case !reads(r):
		return notAllowed("GET, HEAD")
	case !g.Authorization.allows(r.Header["Authorization"]):
		return &refusal{reason: "authorization", status: http.StatusUnauthorized, code: "Unauthorized",
			message: "the Authorization header is missing or wrong: AWS_CONTAINER_AUTHORIZATION_TOKEN in the application's container must be the sidecar's token"}
	}
	return nil
}

func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// localHost tells whether the Host of r is localhost, a loopback address or the
// address that the connection was accepted on, with or without a port: the AWS
// C runtime sends none, and leaves an IPv6 address without its brackets (aws-crt
// 1.33.2). Any other name is one that an attacker has made to resolve to a
// loopback address (DNS rebinding).
//
// It reads r.Host, because net/http keeps that header out of r.Header.
func localHost(r *http.Request) bool {
	if addr, err := netip.ParseAddr(r.Host); err == nil {
		return localAddr(r, addr)
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
	return err == nil && addr.Is6() == bracketed && localAddr(r, addr)
}

// localAddr tells whether addr is a loopback address, or the one that r came to.
func localAddr(r *http.Request, addr netip.Addr) bool {
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

// relayed tells whether a proxy or a browser has sent the request: the relays
// through which server-side request forgery and web pages come add one of
// these headers, and no SDK does.
func relayed(h http.Header) bool {
	for name := range h {
		switch name {
		case "Forwarded", "Via", "Origin", "Referer":
			return true
		}
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// equal compares in a time that depends only on the lengths.
func equal(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
