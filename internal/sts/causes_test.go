package sts

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// What STS says is more precise than its code: the advice goes by the text. The texts are
// those that people have reported.
func TestTextsHaveTheirOwnAdvice(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, text, want string }{
		{"InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)", "name a file that the kubelet writes"},
		{"InvalidIdentityToken", "Missing a required claim: aud", "mount a projected volume"},
		{"InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/A", "create an IAM OIDC provider"},
		{"InvalidIdentityToken", "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint", "correct the thumbprint"},
		{"InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements", "wait: this often passes"},
		{"InvalidIdentityToken", "The web identity token that was passed could not be validated by AWS. Get a new identity token from the identity provider and then retry the request.", "check that the issuer publishes the keys"},
		{"InvalidIdentityToken", "Incorrect token audience", "if the audience"},
		{"InvalidIdentityToken", "The web identity token is not valid yet", "check the clock of the machine that issues tokens"},
		{"InvalidIdentityToken", "something new", "create an IAM OIDC provider"}, // as the code says
		{"ExpiredTokenException", "Token too old: 441398", "check that the token volume is mounted without subPath, and that its expirationSeconds"},
		{"ExpiredTokenException", "Token expired: current date/time 1624482533 must be before the expiration date/time1624482335", "check that the token volume is mounted without subPath, that the kubelet"},
		{"IDPCommunicationError", "Could not connect", "wait: this often passes"},
		{"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "compare the role ARN"},
		{"AccessDenied", "User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::111122223333:role/app because no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action", "have that policy allow"},
		{"AccessDenied", "User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity with an explicit deny in a service control policy", "have the policy that the message names"},
		{"AccessDenied", "User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity with an explicit deny in a resource control policy", "have the policy that the message names"},
		{"ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "set --duration to 1h"},
		{"ValidationError", "Request ARN is invalid", "correct --role-arn"},
		{"ValidationError", "Invalid partition", "correct --role-arn"},
		{"SomethingNew", "Invalid ARN partition", "correct --role-arn"}, // STS does not always use the same code
		{"ValidationError", "1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy constraint", "correct the setting that the message names"},
		{"RegionDisabledException", "STS is not activated in this region for account:111122223333. Your account administrator can activate STS in this region using the IAM Console.", "activate STS"},
		{"SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", "check the STS endpoint"},
		{"Throttling", "Incorrect token audience", "find out in CloudTrail"},
		{"InternalFailure", "Incorrect token audience", "check the STS endpoint"},
	}
	for _, tt := range tests {
		t.Run(tt.code+" "+tt.text, func(t *testing.T) {
			t.Parallel()
			status := 400
			if tt.code == "InternalFailure" {
				status = 500
			}
			sts, srv := newStandin(t)
			sts.Always(standin.Refuse(status, tt.code, tt.text))
			_, err := exchange(t.Context(), New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
			why := explained(t, err)
			if !strings.HasPrefix(why.Fix(), tt.want) || !strings.HasSuffix(why.ErrorMessage(), why.Fix()) {
				t.Errorf("got %s: %s", why, why.Fix())
			}
			if cause := why.Cause(); cause.Code != "" && cause.Code != why.ErrorCode() && tt.code != "SomethingNew" {
				t.Errorf("the cause is one of %s", cause.Code)
			}
		})
	}
}

// The table has no row that another one hides, and none without words.
func TestCausesAreComplete(t *testing.T) {
	t.Parallel()
	for _, c := range Causes() {
		if c.Proves == "" || c.Fix == "" || c.Code == "" || fix(c.Code) == "" {
			t.Errorf("incomplete: %+v", c)
		}
		for text := range strings.SplitSeq(c.Says, "|") {
			if got := causeOf(c.Code, text); c.Code != codeNetwork && got.Fix != c.Fix {
				t.Errorf("%q has the advice %q, want %q", text, got.Fix, c.Fix)
			}
		}
		if c.Name != "" && namedCause(c.Name).Fix != c.Fix {
			t.Errorf("two causes are called %q", c.Name)
		}
	}
}

// The refusal of a proxy is not taken for an answer of STS.
func TestProxyRefusals(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer proxy.Close()
	where, err := url.Parse(strings.Replace(proxy.URL, "http://", "http://user:canary@", 1))
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport(nil)
	transport.Proxy = http.ProxyURL(where)
	_, err = exchange(t.Context(), New(Options{Endpoint: "https://sts.example", Transport: transport}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	want := "network: cannot reach https://sts.example: the proxy " + proxy.Listener.Addr().String() + " answered 403 (Forbidden): have the proxy allow STS"
	if why := explained(t, err); !strings.HasPrefix(why.Error(), want) || strings.Contains(why.Error(), "canary") {
		t.Errorf("got  %s\nwant %s", why, want)
	}
}

// A proxy that is not there is not taken for STS, whatever is wrong with it.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	for proxy, want := range map[string]string{
		"http://127.0.0.1:1":        "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused: correct HTTPS_PROXY",
		"http://proxy.example:3128": "no such host: correct HTTPS_PROXY",
	} {
		transport := NewTransport(nil)
		transport.DialContext = (&net.Dialer{Resolver: noSuchName(t)}).DialContext
		where, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		transport.Proxy = http.ProxyURL(where)
		_, err = exchange(t.Context(), New(Options{Endpoint: "https://sts.example", Transport: transport}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
		if why := explained(t, err); !strings.Contains(why.Error(), want) {
			t.Errorf("got %s", why)
		}
	}
}

// STS refuses no connections: if one to a public address is refused, a mesh is named.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"52.94.133.1:443": "in a mesh (Istio, Linkerd) have its proxy start before the sidecar",
		"[2600::1]:443":   "in a mesh (Istio, Linkerd) have its proxy start before the sidecar",
		"10.0.42.17:443":  "check --sts-endpoint, network policies",
		"127.0.0.1:443":   "check --sts-endpoint, network policies",
	} {
		to := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}}
		_, err := exchange(t.Context(), New(Options{Endpoint: "https://sts.example", Transport: transport}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
		if why := explained(t, err); !strings.HasPrefix(why.Fix(), want) || !strings.Contains(why.What(), address+": connect: connection refused") {
			t.Errorf("got %s", why)
		}
	}
}

// A name that does not exist is most often that of a region.
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	transport := NewTransport(nil)
	transport.DialContext = (&net.Dialer{Resolver: noSuchName(t)}).DialContext
	_, err := exchange(t.Context(), New(Options{Region: "eu-west-9", Transport: transport}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	if why := explained(t, err); !strings.HasPrefix(why.Error(), "network: cannot reach STS of region eu-west-9: ") || !strings.Contains(why.Error(), "no such host: correct the name of the region") {
		t.Errorf("got %s", why)
	}
}
