package server

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// checkOrigin returns why r cannot come from an SDK in this pod, nil if it can. It comes
// before every other check: whoever comes through a browser or a relay learns nothing
// about paths.
func checkOrigin(r *http.Request) *refusal {
	if !isLocalHost(r) {
		return &refusal{reason: "host", status: http.StatusForbidden, code: "HostNotAllowed",
			message: "the Host header must be localhost or an address of this endpoint: use http://127.0.0.1 in AWS_CONTAINER_CREDENTIALS_FULL_URI"}
	}
	if sign := relaySign(r); sign != "" {
		return &refusal{reason: "forwarded", status: http.StatusForbidden, code: "ForwardedRequest",
			message: fmt.Sprintf("request rejected: it came through a proxy, as its %s shows; set NO_PROXY=127.0.0.1,localhost,169.254.170.2,169.254.169.254 in the application's container", sign)}
	}
	if name := browserHeader(r.Header); name != "" {
		return &refusal{reason: "browser", status: http.StatusForbidden, code: "BrowserRequest",
			message: fmt.Sprintf("request rejected: its header %s is one that browsers send, and a web page could read the answer; if a program of yours sent it, have it leave the header out or change its value", name)}
	}
	return nil
}

// relaySign returns what shows that r came through a proxy or a gateway, as server-side
// request forgery does, empty if nothing does. No SDK sends any of this to an endpoint.
// What some relays add is enough: those that add nothing cannot be recognised.
func relaySign(r *http.Request) string {
	if r.URL.Host != "" || r.Method == http.MethodConnect {
		return "request line"
	}
	for name := range r.Header {
		if isRelayHeader(name) {
			return "header " + name
		}
	}
	return ""
}

func isRelayHeader(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip", "X-Varnish", "Cdn-Loop", "Max-Forwards", "Proxy-Connection":
		return true
	}
	for _, prefix := range []string{"X-Forwarded-", "X-Envoy-", "X-Original-", "Cf-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// browserHeader returns a header that shows that a browser sent the request, empty if
// there is none: a page that it renders could show the answer to whoever wrote the page.
//
// To an address like 169.254.169.254 browsers send no Sec- headers, a page can suppress the
// Referer, and whoever runs the browser may have changed its User-Agent: what it navigates
// to still gets Upgrade-Insecure-Requests or is accepted as XHTML. Node.js sends
// Sec-Fetch-Mode and Accept-Language with every fetch, and Java accepts text/html, so that
// these are no sign.
func browserHeader(h http.Header) string {
	switch {
	case slices.ContainsFunc(h["User-Agent"], func(value string) bool { return strings.HasPrefix(value, "Mozilla/") }):
		return "User-Agent (Mozilla/…)"
	case slices.ContainsFunc(h["Accept"], func(value string) bool { return strings.Contains(value, "application/xhtml+xml") }):
		return "Accept (application/xhtml+xml)"
	}
	for name := range h {
		switch {
		case name == "Origin", name == "Referer", name == "Upgrade-Insecure-Requests",
			strings.HasPrefix(name, "Sec-") && name != "Sec-Fetch-Mode", strings.HasPrefix(name, "Access-Control-Request-"):
			return name
		}
	}
	return ""
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

// cleanPath returns the path of r with every run of slashes as one, and without one at
// its end, which SDKs have after security-credentials. MongoDB's drivers and minio-java
// ask for //latest/meta-data and //v1/credentials, which AWS answers without a redirect.
func cleanPath(r *http.Request) string {
	path := r.URL.Path
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return strings.TrimSuffix(path, "/")
}

// equal compares in a time that depends on the lengths alone.
func equal(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
