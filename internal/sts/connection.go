package sts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// proxyError is a proxy's refusal to connect to STS, which has answered nothing.
type proxyError struct {
	proxy  string // HOST:PORT
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d (%s)", e.proxy, e.status, http.StatusText(e.status))
}

// explainProxy is the OnProxyConnectResponse of a transport: net/http itself reports the
// refusal of a proxy by the text of its status alone, as if STS had sent it.
func explainProxy(_ context.Context, proxy *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, response.StatusCode}
}

// connectionCause returns the cause of an error of the transport.
func connectionCause(err error) Cause {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return namedCause(CauseNoProxy)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return namedCause(CauseUnknownHost)
	}
	if _, ok := errors.AsType[*proxyError](err); ok {
		return namedCause(CauseProxy)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return namedCause(CauseCertificate)
	}
	if wrong, ok := errors.AsType[x509.CertificateInvalidError](err); ok && wrong.Reason == x509.Expired {
		return namedCause(CauseClock)
	}
	switch {
	case !errors.Is(err, syscall.ECONNREFUSED):
		return Cause{}
	case refusedInPublic(err):
		return namedCause(CauseMesh)
	}
	return namedCause(CauseRefused)
}

// refusedInPublic reports whether the address that refused a connection is a public one. Those
// of STS refuse none.
func refusedInPublic(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return false
	}
	tcp, ok := op.Addr.(*net.TCPAddr)
	return ok && tcp.IP.IsGlobalUnicast() && !tcp.IP.IsPrivate()
}

// describeTransport says why there was no answer, without what net/http repeats of one
// that it could not read.
func describeTransport(err error, token string) string {
	err = innermost(err)
	if !safeToQuote(err) {
		return "the peer did not speak HTTP, or a proxy refused the connection"
	}
	text := err.Error()
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(wrong.UnverifiedCertificates) > 0 {
		text += fmt.Sprintf(" (the certificate is from %s)", wrong.UnverifiedCertificates[0].Issuer)
	}
	return sanitize(text, token)
}

// innermost returns the part of an error of the SDK that says what happened: what is
// below the URL, which the message has anyway.
func innermost(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	if sendErr, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return sendErr.Err
	}
	return err
}

// safeToQuote reports whether an error of the transport is about the connection. Other
// errors repeat what net/http could not read of an answer, which may be anything in it,
// credentials included.
func safeToQuote(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, isProxy := errors.AsType[*proxyError](err)
	return isNet || isCertificate || isProxy || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrSchemeMismatch)
}
