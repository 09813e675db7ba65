package podidentity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"syscall"
)

// Error says why the agent gave no credentials. Its methods are those that the errors of
// AWS's SDKs have, so that callers need not know the type.
type Error struct{ code, what, requestID string }

func (e *Error) Error() string { return e.code + ": " + e.ErrorMessage() }

// ErrorCode returns the code of one of Reasons.
func (e *Error) ErrorCode() string { return e.code }

// ErrorMessage says what happened and what to do. It repeats no text from outside, which
// may hold the token.
func (e *Error) ErrorMessage() string { return e.what + ": " + e.Fix() }

// What says what happened.
func (e *Error) What() string { return e.what }

// Fix says what to do.
func (e *Error) Fix() string { return fix(e.code) }

// ServiceRequestID returns the ID of the agent's request to EKS, or "".
func (e *Error) ServiceRequestID() string { return e.requestID }

// newError returns an Error that says what happened.
func newError(code, what string) *Error { return &Error{code: code, what: what} }

// explainTransport explains why there was no answer, or no end of one.
func explainTransport(ctx context.Context, err error) *Error {
	if netErr, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && netErr.Timeout() {
		return newError(codeTimeout, "the agent did not answer in time")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newError(codeInvalidResponse, fmt.Sprintf("the agent answered more than %d bytes", maxAnswer))
	}
	// Other errors repeat what net/http could not read of an answer.
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return newError(codeNetwork, "cannot reach the agent: "+errno.Error())
	}
	return newError(codeNetwork, "the agent does not speak HTTP, or the connection ended within the answer")
}

// refusal matches the text of an error of EKS that the agent passes on, with the ID of the
// request, which may be missing, and the code. Nothing that it matches can be a secret.
const refusal = `^(?:\[([0-9a-f-]{36})?\]: )?\(([A-Z][A-Za-z]{0,40}Exception)\): `

// explainStatus explains an answer that is not a success.
func explainStatus(status int, body []byte) *Error {
	raw, requestID := "", ""
	if match := regexp.MustCompile(refusal).FindSubmatch(body); match != nil {
		requestID, raw = string(match[1]), string(match[2])
	}
	// The agent looks at the expiry itself, and says so in words only.
	if raw == "" && status == http.StatusBadRequest && bytes.Contains(body, []byte("token is expired")) {
		raw = codeExpired
	}
	what := fmt.Sprintf("the agent answered HTTP %d", status)
	if raw != "" {
		what += " " + raw
	}
	err := newError(codeFor(raw, status), what)
	err.requestID = requestID
	return err
}
