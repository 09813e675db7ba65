package sts

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
)

// stage is how far a call has come: after a timeout, the stage that did not end is the
// best hint.
type stage struct{ latest atomic.Pointer[string] }

// trace returns a context whose HTTP calls report their stage to s.
func (s *stage) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { s.latest.Store(new("in the DNS lookup of")) },
		ConnectStart:      func(string, string) { s.latest.Store(new("connecting to")) },
		TLSHandshakeStart: func() { s.latest.Store(new("in the TLS handshake with")) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { s.latest.Store(new("sending the request to")) },
		WroteRequest:      func(httptrace.WroteRequestInfo) { s.latest.Store(new("waiting for the answer of")) },
	})
}

// String returns the stage in words that the name of the peer follows.
func (s *stage) String() string {
	if latest := s.latest.Load(); latest != nil {
		return *latest
	}
	return "before the first packet to"
}
