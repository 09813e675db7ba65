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
		DNSStart:          func(httptrace.DNSStartInfo) { s.begin("in the DNS lookup of", nil) },
		ConnectStart:      func(string, string) { s.begin("connecting to", nil) },
		TLSHandshakeStart: func() { s.begin("in the TLS handshake with", nil) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { s.begin("sending the request to", err) },
		WroteRequest:      func(info httptrace.WroteRequestInfo) { s.begin("waiting for the answer of", info.Err) },
	})
}

// begin says that the call is now at this stage, unless the one before failed with err.
func (s *stage) begin(name string, err error) {
	if err == nil {
		s.latest.Store(&name)
	}
}

// String returns the stage in words that the name of the peer follows.
func (s *stage) String() string {
	if latest := s.latest.Load(); latest != nil {
		return *latest
	}
	return "before the first packet to"
}
