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
	relay, browser := signs(r)
	switch {
	case relay != "":
		return &refusal{reason: "forwarded", status: http.StatusForbidden, code: "ForwardedRequest",
			message: fmt.Sprintf("request rejected: it came through a proxy, as its %s shows; set NO_PROXY=127.0.0.1,localhost,169.254.170.2,169.254.169.254 in the application's container", relay)}
	case browser != "":
		return &refusal{reason: "browser", status: http.StatusForbidden, code: "BrowserRequest",
			message: fmt.Sprintf("request rejected: its %s is one that browsers send, and a web page could read the answer; if a program of yours sent it, have it leave the header out or change its value", browser)}
	}
	return nil
}

// signs returns what shows that r came through a proxy or a gateway, as server-side request
// forgery does, and what shows that a browser sent it; empty if nothing does. No SDK sends
// any of this to an endpoint.
func signs(r *http.Request) (relay, browser string) {
	if r.URL.Host != "" || r.Method == http.MethodConnect {
		relay = "request line"
	}
	for name, values := range r.Header {
		switch {
		case isRelayHeader(name):
			relay = "header " + name
		case isBrowserHeader(name, values):
			browser = "header " + name
		}
	}
	return relay, browser
}

// isRelayHeader reports whether a relay sent a header. What some of them add is enough:
// those that add nothing cannot be recognised.
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

// isBrowserHeader reports whether a browser sent a header: a page that it renders could
// show the answer to whoever wrote the page.
//
// To an address like 169.254.169.254 browsers send no Sec- headers, a page can suppress the
// Referer, and whoever runs the browser may have changed its User-Agent: what it navigates
// to still gets Upgrade-Insecure-Requests or is accepted as XHTML. Node.js sends
// Sec-Fetch-Mode and Accept-Language with every fetch, and Java accepts text/html, so that
// these are no sign.
func isBrowserHeader(name string, values []string) bool {
	switch name {
	case "User-Agent":
		return slices.ContainsFunc(values, func(value string) bool { return strings.HasPrefix(value, "Mozilla/") })
	case "Accept":
		return slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, "application/xhtml+xml") })
	case "Origin", "Referer", "Upgrade-Insecure-Requests":
		return true
	}
	return strings.HasPrefix(name, "Sec-") && name != "Sec-Fetch-Mode" || strings.HasPrefix(name, "Access-Control-Request-")
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
