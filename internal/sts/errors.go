package sts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Error says why STS granted no credentials. Its methods are those that smithy's
// APIError and the SDK's ResponseError have, so that callers need not know the type.
type Error struct {
	code      string
	what      string // happened
	cause     Cause  // may be zero
	requestID string
	outage    bool // STS is down, or out of reach
	elsewhere bool
}

func (e *Error) Error() string { return e.code + ": " + e.ErrorMessage() }

// ErrorCode returns the code of one of Reasons.
func (e *Error) ErrorCode() string { return e.code }

// ErrorMessage says what happened and what to do. It never repeats the token.
func (e *Error) ErrorMessage() string { return e.what + ": " + e.Fix() }

// What says what happened.
func (e *Error) What() string { return e.what }

// Cause returns what the failure proves beyond its code, the zero Cause if that is nothing.
func (e *Error) Cause() Cause { return e.cause }

// Fix says what to do.
func (e *Error) Fix() string {
	if e.cause.Fix != "" {
		return e.cause.Fix
	}
	return fix(e.code)
}

// ServiceRequestID returns AWS's ID of the request, or "". The message does not have
// it: the message is repeated in the pod's events, where each new text is a new event.
func (e *Error) ServiceRequestID() string { return e.requestID }

// Elsewhere reports whether the next call goes to the STS of another region.
func (e *Error) Elsewhere() bool { return e.elsewhere }

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
	if errors.Is(ctx.Err(), context.Canceled) {
		return newError(codeTimeout, fmt.Sprintf("was still %s %s", a.stage, c.endpoint))
	}
	if netErr, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && netErr.Timeout() {
		return newError(codeTimeout, fmt.Sprintf("timed out%s %s %s", a.after(), a.stage, c.endpoint))
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.HTTPStatusCode() == 0 {
		e := newError(codeNetwork, fmt.Sprintf("cannot reach %s: %s", c.endpoint, describeTransport(err, a.token)))
		e.cause = connectionCause(err)
		return e
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
	raw, text := "", ""
	if hasCode {
		raw = apiErr.ErrorCode()
	}
	if hasCode && apiErr.ErrorMessage() != missing {
		text = apiErr.ErrorMessage()
	}
	e := c.refusal(status, raw, text, token)
	e.requestID = sanitize(response.ServiceRequestID(), token)
	e.outage = status >= 500 && e.code != codeThrottled
	return e
}

// refusal explains an error of STS: raw is its code, or "", and text is what it says.
func (c *Client) refusal(status int, raw, text, token string) *Error {
	what := fmt.Sprintf("HTTP %d from %s", status, c.endpoint)
	code := codeFor(raw, status)
	if text != "" {
		what = fmt.Sprintf("%s (%s)", sanitize(text, token), what)
	}
	if code == codeOther && raw != "" {
		what = sanitize(raw, token) + ": " + what
	}
	e := newError(code, what)
	if raw != "" && code != codeThrottled && status < 500 {
		e.cause = causeOf(code, text)
	}
	return e
}

// newError returns an Error that says what happened.
func newError(code, what string) *Error {
	return &Error{code: code, what: what, outage: code == codeTimeout || code == codeNetwork}
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
