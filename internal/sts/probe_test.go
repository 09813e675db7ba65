package sts

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// noSuchName returns a resolver whose server says that no name exists.
func noSuchName(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		packet := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			packet[2], packet[3] = 0x81, 0x83 // a response, NXDOMAIN
			server.WriteTo(packet[:n], from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(standin.NewSTS(issuer))
	defer srv.Close()
	transport := NewTransport(srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	reach, err := Probe(t.Context(), Options{Endpoint: srv.URL, Transport: transport})
	if err != nil || reach.Host != "127.0.0.1" || reach.Connect == 0 || reach.TLS == 0 || reach.Answer == 0 || reach.Issuer != "Acme Co" || time.Since(reach.Date).Abs() > time.Minute {
		t.Errorf("got %+v, %v", reach, err)
	}
	if reach, err = Probe(t.Context(), Options{Endpoint: srv.URL}); err == nil || reach.Connect == 0 || reach.TLS != 0 {
		t.Errorf("got %+v, %v", reach, err)
	}
	if why := explained(t, err); why.Cause().Name != CauseCertificate || !strings.Contains(why.What(), "the certificate is from O=Acme Co") {
		t.Errorf("got %v", why)
	}
}

// Without an endpoint the SDK chooses the URL.
func TestProbeChoosesTheURL(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"sts.eu-west-1.amazonaws.com":      {Region: "eu-west-1"},
		"sts.us-east-1.amazonaws.com":      {Region: "us-east-1"},
		"sts.cn-north-1.amazonaws.com.cn":  {Region: "cn-north-1"},
		"sts-fips.us-east-1.amazonaws.com": {Region: "us-east-1", UseFIPS: true},
		"sts.eu-west-1.api.aws":            {Region: "eu-west-1", UseDualStack: true},
	} {
		transport := NewTransport(nil)
		transport.DialContext = (&net.Dialer{Resolver: noSuchName(t)}).DialContext
		o.Transport = transport
		if reach, err := Probe(t.Context(), o); reach.Host != want || err == nil {
			t.Errorf("got %q, %v, want %q", reach.Host, err, want)
		}
	}
}

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	_, srv := newStandin(t)
	o := Options{Endpoint: srv.URL, Region: "eu-west-1"}
	owned, err := exchange(t.Context(), New(o, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	if err != nil {
		t.Fatal(err)
	}
	if arn, err := CallerIdentity(t.Context(), o, owned); err != nil || arn != "arn:aws:sts::111122223333:assumed-role/app/pod-1" {
		t.Errorf("got %q, %v", arn, err)
	}
	foreign := aws.Credentials{AccessKeyID: "ASIAFOREIGN", SecretAccessKey: "secret", SessionToken: "token"}
	if arn, err := CallerIdentity(t.Context(), o, foreign); err == nil || arn != "" || explained(t, err).ErrorCode() != codeOther {
		t.Errorf("got %q, %v", arn, err)
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		standin.Refuse(403, "AccessDenied", r.Header.Get("Authorization")+r.Header.Get("X-Amz-Security-Token"))(nil).ServeHTTP(w, r)
	}))
	defer echo.Close()
	_, err = CallerIdentity(t.Context(), Options{Endpoint: echo.URL}, owned)
	if err == nil || strings.Contains(err.Error(), owned.AccessKeyID) || strings.Contains(err.Error(), owned.SessionToken) {
		t.Errorf("got %v", err)
	}
}

// A mesh may capture DNS: check asks the server that gives no answer, whether the lookup has
// ended or not.
func TestProbeNotesASilentDNSServer(t *testing.T) {
	t.Parallel()
	const server = "10.96.0.10:53"
	for _, tt := range []struct {
		name string
		ends bool
		err  error
		want string
	}{
		{name: "no end", want: server},
		{name: "a timeout", ends: true, err: &net.DNSError{IsTimeout: true}, want: server},
		{name: "refused", ends: true, err: &net.DNSError{Err: "connection refused"}, want: server},
		{name: "no such name", ends: true, err: &net.DNSError{IsNotFound: true}},
		{name: "found", ends: true},
	} {
		p := &prober{server: server, since: map[string]time.Time{}}
		trace := httptrace.ContextClientTrace(p.trace(t.Context()))
		trace.DNSStart(httptrace.DNSStartInfo{})
		if tt.ends {
			trace.DNSDone(httptrace.DNSDoneInfo{Err: tt.err})
		}
		if got := p.result().Refused; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
