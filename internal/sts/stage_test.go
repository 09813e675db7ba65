package sts

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// Each stage is named while it lasts, and also when it fails.
func TestStages(t *testing.T) {
	s := new(stage)
	trace := httptrace.ContextClientTrace(s.trace(t.Context()))
	failed := errors.New("failed")
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"nothing", func() {}, "before the first packet to"},
		{"lookup", func() { trace.DNSStart(httptrace.DNSStartInfo{}) }, "in the DNS lookup of"},
		{"connect", func() { trace.ConnectStart("tcp", "") }, "connecting to"},
		{"handshake", func() { trace.TLSHandshakeStart() }, "in the TLS handshake with"},
		{"failed handshake", func() { trace.TLSHandshakeDone(tls.ConnectionState{}, failed) }, "in the TLS handshake with"},
		{"end of the handshake", func() { trace.TLSHandshakeDone(tls.ConnectionState{}, nil) }, "sending the request to"},
		{"failed request", func() { trace.WroteRequest(httptrace.WroteRequestInfo{Err: failed}) }, "sending the request to"},
		{"request", func() { trace.WroteRequest(httptrace.WroteRequestInfo{}) }, "waiting for the answer of"},
	}
	for _, step := range steps {
		if step.do(); s.String() != step.want {
			t.Errorf("%s: got %q, want %q", step.name, s, step.want)
		}
	}
}

// When the process ends, the stage of the call is said, and no limit, which was not reached.
func TestCancelledCall(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		if conn, err := silent.Accept(); err == nil {
			defer conn.Close()
			io.ReadFull(conn, make([]byte, 1)) // the handshake has begun
			cancel()
		}
	}()
	endpoint := "https://" + silent.Addr().String()
	_, err = exchange(ctx, New(Options{Endpoint: endpoint}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	if why := explained(t, err); !strings.HasPrefix(why.Error(), "timeout: was still in the TLS handshake with "+endpoint+": check DNS") {
		t.Errorf("got %v", why)
	}
}

// The transport ends a handshake that hangs as soon as an attempt ends, and whichever is
// first, the reason is the same.
func TestHandshakeThatTheTransportEnds(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	endpoint := "https://" + silent.Addr().String()
	client := New(Options{Endpoint: endpoint, Transport: &http.Transport{TLSHandshakeTimeout: 100 * time.Millisecond}}, prometheus.NewRegistry())
	_, err = exchange(ctx, client, issuer.Token(standin.Claims{}))
	if err == nil || explained(t, err).code != codeTimeout || !strings.Contains(err.Error(), " in the TLS handshake with "+endpoint) {
		t.Errorf("got %v", err)
	}
}
