package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/test/standin"
)

// brokenSetUp is one in which check names the cause in its first failure.
type brokenSetUp struct {
	name        string
	prepare     func(t *testing.T, w *world)
	environment func(t *testing.T, w *world) []string
	args        []string
	status      int    // 1 if it is 0
	want        string // begins with the step of the first failure
	says        string // somewhere
}

func brokenTokens() []brokenSetUp {
	claims := func(c standin.Claims) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.hold(t, standin.NewIssuer("https://127.0.0.1:1").Token(c)) }
	}
	return []brokenSetUp{
		{name: "no token", prepare: func(t *testing.T, w *world) {
			if err := w.volume.PublishAll(nil); err != nil {
				t.Fatal(err)
			}
		}, want: "token file /", says: "does not exist"},
		{name: "a truncated token", prepare: func(t *testing.T, w *world) { w.hold(t, w.tokens[0][:len(w.tokens[0])-6]) }, want: "token file /", says: "is cut off"},
		{name: "half a token", prepare: func(t *testing.T, w *world) { w.hold(t, w.tokens[0][:len(w.tokens[0])/3]) }, want: "token file /", says: "does not hold a JWT"},
		{name: "subPath", environment: func(t *testing.T, w *world) []string {
			alone := filepath.Join(t.TempDir(), "token")
			write(t, alone, "")
			bind(t, alone, w.tokens[0])
			t.Cleanup(func() { unix.Unmount(alone, unix.MNT_DETACH) })
			return []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + alone}
		}, want: "token file /", says: "is mounted by itself, as subPath does"},
		{name: "the API server's audience", prepare: claims(standin.Claims{Audience: "https://kubernetes.default.svc"}), want: "claims the token is for the API server itself"},
		{name: "expired", prepare: claims(standin.Claims{Lifetime: -5 * time.Minute}), want: "claims the token expired 5m"},
		{name: "from the future", prepare: claims(standin.Claims{IssuedAt: time.Now().Add(time.Hour)}), want: "claims the token is valid only in "},
		{name: "a wrong audience", prepare: claims(standin.Claims{Audience: "vault"}), want: "STS InvalidIdentityToken: Incorrect token audience", says: "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::111122223333:oidc-provider/127.0.0.1:1 --client-id vault"},
		{name: "another service account", prepare: claims(standin.Claims{Namespace: "shop", ServiceAccount: "cart"}), want: "STS AccessDenied: Not authorized", says: `"127.0.0.1:1:sub": "system:serviceaccount:shop:cart"`},
	}
}

func brokenAnswers() []brokenSetUp {
	answers := func(faults ...standin.Fault) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) { w.sts.Next(faults...) }
	}
	refuses := func(code, text string) func(*testing.T, *world) { return answers(standin.Refuse(400, code, text)) }
	return []brokenSetUp{
		{name: "no provider", prepare: func(_ *testing.T, w *world) { w.sts.SetIssuers() }, want: "STS InvalidIdentityToken: No OpenIDConnect provider found in your account",
			says: "aws iam create-open-id-connect-provider --url https://127.0.0.1:1 --client-id-list sts.amazonaws.com"},
		{name: "too long", environment: func(*testing.T, *world) []string { return []string{"SIDECAR_DURATION=4h"} }, want: "STS ValidationError: The requested DurationSeconds exceeds", says: "1h works, so the trust policy is right"},
		{name: "issuer unreachable for STS", prepare: refuses("IDPCommunicationError", "Could not reach it"), want: "STS IDPCommunicationError: ", says: "this often passes"},
		{name: "no keys", prepare: refuses("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"), want: "STS InvalidIdentityToken: Couldn't", says: "jwks_uri"},
		{name: "thumbprint", prepare: refuses("InvalidIdentityToken", "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"), want: "STS InvalidIdentityToken: OpenID", says: "update-open-id-connect-provider-thumbprint"},
		{name: "region disabled", prepare: refuses("RegionDisabledException", "STS is not activated in this region for account:111122223333."), want: "STS RegionDisabledException: ", says: "activate STS"},
		{name: "VPC endpoint", prepare: refuses("AccessDenied", "User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity because no VPC endpoint policy allows it"), want: "STS AccessDenied: User", says: "have that policy allow"},
		{name: "echo", prepare: answers(standin.EchoToken()), want: "STS InvalidIdentityToken: [dropped"},
		{name: "a captive portal", prepare: answers(standin.Answer(200, "text/html", "<html>canary")), want: "STS invalid_response: ", says: "captive portal"},
		{name: "no credentials", prepare: answers(standin.EmptyCredentials()), want: "STS AssumeRoleWithWebIdentity answered with incomplete credentials"},
		{name: "expired credentials", prepare: answers(standin.ExpiredCredentials()), want: "STS AssumeRoleWithWebIdentity granted credentials that expired at"},
		{name: "another identity", environment: func(t *testing.T, w *world) []string {
			return []string{"AWS_ENDPOINT_URL_STS=" + serveAnotherIdentity(t, w)}
		}, want: "identity the credentials are those of arn:aws:sts::999999999999:assumed-role/proxy/x, and the role is " + role},
		{name: "no sidecar", want: "endpoints 127.0.0.1:1: the sidecar does not answer: dial tcp 127.0.0.1:1: connect: connection refused"},
		{name: "another process", environment: func(t *testing.T, w *world) []string {
			other := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(other.Close)
			return []string{"SIDECAR_LISTEN=" + other.Listener.Addr().String()}
		}, want: "endpoints 127.0.0.1:", says: "another process than the sidecar answers"},
		{name: "the metadata service of the node", environment: func(t *testing.T, w *world) []string {
			node := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "/app") || r.URL.Path == "/v1/canary-path":
					io.WriteString(rw, `{"AccessKeyId":"AKIACANARY"}`)
				default:
					io.WriteString(rw, "node-role")
				}
			})
			container, instance := httptest.NewServer(node), httptest.NewServer(node)
			t.Cleanup(container.Close)
			t.Cleanup(instance.Close)
			return []string{"SIDECAR_LISTEN=" + container.Listener.Addr().String(), "SIDECAR_IMDS_LISTEN=" + instance.Listener.Addr().String()}
		}, want: "endpoints 127.0.0.1:", says: `another process than the sidecar answers: its role is "node-role", and the sidecar's is "app"`},
		{name: "another process that repeats", environment: func(t *testing.T, w *world) []string {
			other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(400)
				json.NewEncoder(rw).Encode(map[string]string{"message": r.URL.Path + r.Header.Get("Authorization")})
			}))
			t.Cleanup(other.Close)
			return []string{"SIDECAR_LISTEN=" + other.Listener.Addr().String()}
		}, want: "endpoints 127.0.0.1:", says: "it repeats the path or the authorization token"},
	}
}

func brokenWays(silent *atomic.Bool) []brokenSetUp {
	endpoint := func(url func(t *testing.T, w *world) string) func(*testing.T, *world) []string {
		return func(t *testing.T, w *world) []string { return []string{"AWS_ENDPOINT_URL_STS=" + url(t, w)} }
	}
	return []brokenSetUp{
		{name: "no region of that name", environment: func(*testing.T, *world) []string { return []string{"AWS_ENDPOINT_URL_STS=", "AWS_REGION=eu-west-9"} },
			want: "network cannot reach STS of region eu-west-9: ", says: "no such host: is the region's name right?"},
		{name: "DNS does not answer", prepare: func(t *testing.T, _ *world) {
			silent.Store(true)
			t.Cleanup(func() { silent.Store(false) })
		}, environment: func(*testing.T, *world) []string { return []string{"AWS_ENDPOINT_URL_STS="} }, want: "network timed out after 6s in the DNS lookup of STS of region eu-west-1"},
		{name: "refused", environment: endpoint(func(*testing.T, *world) string { return "http://127.0.0.1:1" }), want: "network cannot reach http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused", says: "service mesh"},
		{name: "refused in a mesh", prepare: func(t *testing.T, _ *world) {
			ln, err := net.Listen("tcp", "127.0.0.1:15021")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
		}, environment: endpoint(func(*testing.T, *world) string { return "http://127.0.0.1:1" }), want: "network cannot reach http://127.0.0.1:1", says: "Istio is in this pod"},
		{name: "a slow clock", environment: endpoint(func(t *testing.T, w *world) string {
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
				w.sts.ServeHTTP(rw, r)
			}))
			t.Cleanup(srv.Close)
			return srv.URL
		}), want: "network this node's clock is ", says: "behind that of STS"},
		{name: "no proxy", environment: func(*testing.T, *world) []string {
			return []string{"AWS_ENDPOINT_URL_STS=", "HTTPS_PROXY=http://user:canary@127.0.0.1:1"}
		}, want: "network cannot reach STS of region eu-west-1: proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused - The proxy that HTTPS_PROXY names"},
		{name: "interception", environment: endpoint(func(t *testing.T, w *world) string {
			var shown atomic.Pointer[tls.Certificate]
			shown.Store(newAuthority(t).issue(t, "localhost", time.Hour))
			return serveTLS(t, w, &shown)
		}), want: "network cannot reach https://localhost:", says: "certificate signed by unknown authority (the certificate is from CN="},
		{name: "a proxy that refuses", environment: func(t *testing.T, w *world) []string {
			proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusForbidden) }))
			t.Cleanup(proxy.Close)
			return []string{"AWS_ENDPOINT_URL_STS=", "HTTPS_PROXY=http://user:canary@" + proxy.Listener.Addr().String()}
		}, want: "network cannot reach STS of region eu-west-1: the proxy 127.0.0.1:", says: "answered 403 (Forbidden)"},
		{name: "a peer that does not speak HTTP", environment: endpoint(func(t *testing.T, w *world) string {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					io.WriteString(conn, "canary\r\n\r\n")
					conn.Close()
				}
			}()
			return "http://" + ln.Addr().String()
		}), want: "network cannot reach http://127.0.0.1:"},
		{name: "another partition", status: 2, environment: func(*testing.T, *world) []string { return []string{"AWS_REGION=cn-north-1"} },
			want: "settings --role-arn (AWS_ROLE_ARN): is in the partition aws, and the region cn-north-1 in the partition aws-cn"},
		{name: "no role and no region", status: 2, environment: func(*testing.T, *world) []string {
			return []string{"AWS_ROLE_ARN=", "AWS_REGION=", "AWS_ENDPOINT_URL_STS="}
		}, want: "settings --role-arn (AWS_ROLE_ARN): is required; --region"},
		{name: "an unknown flag", status: 2, args: []string{"--bogus=canary"}, want: "settings argument 2: unknown flag"},
	}
}

// serveDNS serves names, none of which exist, on port 53. It does not answer while silent.
func serveDNS(t *testing.T) (silent *atomic.Bool) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	silent = new(atomic.Bool)
	go func() {
		packet := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			if !silent.Load() {
				packet[2], packet[3] = 0x81, 0x83 // a response, NXDOMAIN
				server.WriteTo(packet[:n], from)
			}
		}
	}()
	return silent
}

// serveAnotherIdentity serves STS, which grants what is asked for, and says that it belongs
// to somebody else.
func serveAnotherIdentity(t *testing.T, w *world) (url string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.sts.ServeHTTP(rw, r)
			return
		}
		io.WriteString(rw, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:sts::999999999999:assumed-role/proxy/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
