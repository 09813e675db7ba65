package sts

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Reach is how far a request to STS came. Durations are 0 for what did not end.
type Reach struct {
	Host      string
	Proxy     string       // HOST:PORT; empty: none
	Addresses []netip.Addr // of Host, or of Proxy
	Refused   string       // the address that refused a connection, or the DNS server that gave no answer
	DNS       time.Duration
	Connect   time.Duration
	TLS       time.Duration
	Answer    time.Duration
	Issuer    string    // of the certificate of STS
	Date      time.Time // by the clock of whoever answered
}

// Probe makes a request to STS that is no call and carries nothing, on the way that calls
// take. The Reach has what was reached even if there is an error, which is an *Error.
func Probe(ctx context.Context, o Options) (Reach, error) {
	start, stage := time.Now(), new(stage)
	explain := func(err error) error {
		a := attempt{stage: stage}
		if deadline, ok := ctx.Deadline(); ok {
			a.limit = deadline.Sub(start)
		}
		return (&Client{endpoint: o.name()}).explain(ctx, err, a)
	}
	r, err := o.request(ctx, http.MethodGet, "")
	if err != nil {
		return Reach{}, explain(err)
	}
	p := &prober{server: nameserver(), reach: Reach{Host: r.URL.Hostname()}, since: map[string]time.Time{}}
	transport := o.transport()
	if t, ok := transport.(*http.Transport); ok && t.Proxy != nil {
		if proxy, err := t.Proxy(r); err == nil && proxy != nil {
			p.reach.Proxy = proxy.Host
		}
	}
	resp, err := transport.RoundTrip(r.WithContext(p.trace(stage.trace(ctx))))
	if err != nil {
		return p.result(), explain(err)
	}
	defer resp.Body.Close()
	reach := p.result()
	reach.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	return reach, nil
}

// prober measures the stages of a request.
type prober struct {
	server string // for DNS

	mu    sync.Mutex // guards the fields below
	reach Reach
	since map[string]time.Time
}

func (p *prober) result() Reach {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reach
}

func (p *prober) begin(stage string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since[stage] = time.Now()
}

// end sets d to how long a stage took, and calls more with the Reach.
func (p *prober) end(stage string, d *time.Duration, err error, more func(*Reach)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && *d == 0 {
		*d = max(time.Since(p.since[stage]), 1)
		more(&p.reach)
	}
}

// refused notes the address if it refused the connection.
func (p *prober) refused(address string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, syscall.ECONNREFUSED) {
		p.reach.Refused = address
	}
}

// resolve notes the DNS server that is asked. After a timeout that is all there is: nobody waits
// for the end of the lookup.
func (p *prober) resolve() {
	p.begin("DNS")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reach.Refused = p.server
}

// resolved forgets the DNS server if it has answered.
func (p *prober) resolved(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || dns.IsNotFound {
		p.reach.Refused = ""
	}
}

// nameserver returns the address of the first DNS server of this pod, or "".
func nameserver() string {
	file, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(file)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			return net.JoinHostPort(words[1], "53")
		}
	}
	return ""
}

// trace returns a context whose requests are measured. Addresses are tried at once, so that
// several connections may begin.
func (p *prober) trace(ctx context.Context) context.Context {
	nothing := func(*Reach) {}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { p.resolve() },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			p.end("DNS", &p.reach.DNS, info.Err, func(r *Reach) { r.Addresses = addresses(info.Addrs) })
			p.resolved(info.Err)
		},
		ConnectStart: func(string, string) { p.begin("connect") },
		ConnectDone: func(_, address string, err error) {
			p.end("connect", &p.reach.Connect, err, nothing)
			p.refused(address, err)
		},
		TLSHandshakeStart: func() { p.begin("TLS") },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			p.end("TLS", &p.reach.TLS, err, func(r *Reach) { r.Issuer = issuerOf(state) })
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { p.begin("answer") },
		GotFirstResponseByte: func() { p.end("answer", &p.reach.Answer, nil, nothing) },
	})
}

func addresses(found []net.IPAddr) (all []netip.Addr) {
	for _, a := range found {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			all = append(all, ip.Unmap())
		}
	}
	return all
}

// issuerOf returns who issued the certificate of the peer.
func issuerOf(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	issuer := state.PeerCertificates[0].Issuer
	if len(issuer.Organization) > 0 {
		return sanitize(issuer.Organization[0], "")
	}
	return sanitize(issuer.CommonName, "")
}
