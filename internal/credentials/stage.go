package credentials

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
)

// stage is how far a call has come: which of these never ended is the best hint
// that a timeout leaves.
type stage struct{ latest atomic.Pointer[string] }

// trace returns a context whose HTTP calls tell s how far they are.
func (s *stage) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { s.latest.Store(new("DNS")) },
		ConnectStart:      func(string, string) { s.latest.Store(new("the connection")) },
		TLSHandshakeStart: func() { s.latest.Store(new("the TLS handshake")) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { s.latest.Store(new("the request")) },
		WroteRequest:      func(httptrace.WroteRequestInfo) { s.latest.Store(new("the answer")) },
	})
}

func (s *stage) String() string {
	if latest := s.latest.Load(); latest != nil {
		return *latest
	}
	return "the beginning"
}
