package sts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Error says why STS granted no credentials. Its methods are those that smithy's
// APIError and the SDK's ResponseError have, so that callers need not know the type.
type Error struct {
	code      string
	message   string
	requestID string
}

func (e *Error) Error() string { return e.code + ": " + e.message }

// ErrorCode returns the code of one of Reasons.
func (e *Error) ErrorCode() string { return e.code }

// ErrorMessage says what happened and what to do. It never repeats the token.
func (e *Error) ErrorMessage() string { return e.message }

// ServiceRequestID returns AWS's ID of the request, or "". The message does not have
// it: the message is repeated in the pod's events, where each new text is a new event.
func (e *Error) ServiceRequestID() string { return e.requestID }

// attempt is what the explanation of a failed call needs to know about it.
type attempt struct {
	token string // what was sent
	stage *stage
	limit time.Duration // how long it may take; 0: without limit
}

// explain turns the error of a call that was made with ctx into an Error. What STS
// said is repeated only after sanitize.
func (c *Client) explain(ctx context.Context, err error, a attempt) *Error {
	// When ctx ends a read, the error may say that the connection was closed.
	if netErr, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && netErr.Timeout() {
		return newError(codeTimeout, fmt.Sprintf("timed out%s %s %s", a.after(), a.stage, c.endpoint))
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.HTTPStatusCode() == 0 {
		return newError(codeNetwork, fmt.Sprintf("cannot reach %s: %s", c.endpoint, describeTransport(err, a.token)))
	}
	if status := response.HTTPStatusCode(); status < 400 {
		return c.explainSuccess(status)
	}
	return c.explainRefusal(err, response, a.token)
}

// explainSuccess explains an answer that is neither a success nor an error of STS.
func (c *Client) explainSuccess(status int) *Error {
	if status/100 == 3 {
		return c.invalidResponse(fmt.Sprintf("HTTP %d, a redirect, which is not followed", status))
	}
	return c.invalidResponse(fmt.Sprintf("HTTP %d with a body that is not an answer of STS", status))
}

// explainRefusal explains an answer with an error status.
func (c *Client) explainRefusal(err error, response *awshttp.ResponseError, token string) *Error {
	status := response.HTTPStatusCode()
	apiErr, ok := errors.AsType[smithy.APIError](err)
	const missing = "UnknownError" // what the SDK has for a code or a message that is not there
	hasCode := ok && apiErr.ErrorCode() != missing
	if !hasCode && status != 429 && status < 500 {
		return c.invalidResponse(fmt.Sprintf("HTTP %d without an AWS error code", status))
	}
	message := fmt.Sprintf("HTTP %d from %s", status, c.endpoint)
	raw := ""
	if hasCode {
		raw = apiErr.ErrorCode()
	}
	if hasCode && apiErr.ErrorMessage() != missing {
		message = fmt.Sprintf("%s (%s)", sanitize(apiErr.ErrorMessage(), token), message)
	}
	code := codeFor(raw, status)
	if code == codeOther && hasCode {
		message = sanitize(raw, token) + ": " + message
	}
	e := newError(code, message)
	e.requestID = sanitize(response.ServiceRequestID(), token)
	return e
}

// newError returns an Error that says what happened and what to do about its code.
func newError(code, what string) *Error {
	return &Error{code: code, message: what + ": " + fix(code)}
}

func (c *Client) invalidResponse(what string) *Error {
	return newError(codeInvalidResponse, fmt.Sprintf("%s answered %s", c.endpoint, what))
}

// after returns after how long a call timed out, in words.
func (a attempt) after() string {
	if a.limit == 0 {
		return ""
	}
	return " after " + a.limit.Round(time.Second).String()
}

// describeTransport says why there was no answer, without what net/http repeats of one
// that it could not read.
func describeTransport(err error, token string) string {
	err = cause(err)
	if !safeToQuote(err) {
		return "the peer did not speak HTTP, or a proxy refused the connection"
	}
	return sanitize(err.Error(), token)
}

// cause returns the part of an error of the SDK that says what happened: what is
// below the URL, which the message has anyway.
func cause(err error) error {
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
	if isNet || isCertificate || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	// A proxy that refuses CONNECT is reported by the text of its status.
	for status := 400; status < 600; status++ {
		if err.Error() == http.StatusText(status) {
			return true
		}
	}
	return false
}
