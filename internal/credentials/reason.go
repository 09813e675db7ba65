package credentials

import (
	"context"
	"errors"
	"slices"
)

// The codes that this package deals with itself.
const (
	codeToken           = "token" // of an attempt that made no call to STS
	codeTimeout         = "timeout"
	codeThrottled       = "throttled"
	codeInvalidResponse = "invalid_response"
	codeOther           = "other"
)

// ownCodes returns the codes that a reason can have whatever the provider is.
func ownCodes() []string { return []string{codeToken, codeTimeout, codeInvalidResponse, codeOther} }

// reason says why there are no credentials, or no newer ones. Its methods are those of
// smithy's APIError that others read, so that they need not know the type.
type reason struct {
	code      string
	message   string
	requestID string // AWS's, for the log
	elsewhere bool   // the next attempt asks another STS
}

func newReason(code, message string) *reason { return &reason{code: code, message: message} }

func (r *reason) Error() string { return r.code + ": " + r.message }

// ErrorCode returns a value of the result label of irsa_sidecar_refreshes_total.
func (r *reason) ErrorCode() string { return r.code }

// ErrorMessage says, to a person, what happened and what to do.
func (r *reason) ErrorMessage() string { return r.message }

// coded is an error of a provider that has a code.
type coded interface {
	error
	ErrorCode() string
	ErrorMessage() string
}

// requested is an error that names the request that failed.
type requested interface {
	error
	ServiceRequestID() string
}

// moving is an error after which the provider asks somebody else.
type moving interface {
	error
	Elsewhere() bool
}

// reasonFor turns an error of the provider into a reason. Its code is one of known, so
// that the labels of metrics are bounded.
func reasonFor(err error, known []string) *reason {
	if why, ok := errors.AsType[*reason](err); ok {
		return why
	}
	why := newReason(codeOther, err.Error())
	if c, ok := errors.AsType[coded](err); ok && slices.Contains(known, c.ErrorCode()) {
		why = newReason(c.ErrorCode(), c.ErrorMessage())
	} else if errors.Is(err, context.DeadlineExceeded) {
		why.code = codeTimeout
	}
	if r, ok := errors.AsType[requested](err); ok {
		why.requestID = r.ServiceRequestID()
	}
	if m, ok := errors.AsType[moving](err); ok {
		why.elsewhere = m.Elsewhere()
	}
	return why
}
