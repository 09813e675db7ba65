package credentials

import (
	"context"
	"errors"
	"slices"
)

// The codes of reasons beside those of STS itself.
const (
	codeThrottled       = "throttled"
	codeToken           = "token"
	codeTimeout         = "timeout"
	codeNetwork         = "network"
	codeInvalidResponse = "invalid_response"
	codeOther           = "other"
)

// stsCodes returns the errors of the operation that mean one thing each:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func stsCodes() []string {
	return []string{
		"AccessDenied",
		"ExpiredTokenException",
		"IDPCommunicationError",
		"IDPRejectedClaim",
		"InvalidIdentityToken",
		"MalformedPolicyDocument",
		"PackedPolicyTooLarge",
		"RegionDisabledException",
		"ValidationError",
	}
}

// codes returns every code that a reason can have. Metrics are labelled with
// them, so the list is bounded.
func codes() []string {
	return append(stsCodes(), codeThrottled, codeToken, codeTimeout, codeNetwork, codeInvalidResponse, codeOther)
}

// reason says why there are no credentials, or no newer ones. Its methods are
// those of smithy's APIError that others read, so that nobody needs the type.
type reason struct {
	code    string
	message string
	// requestID is AWS's, for the log. The message is told again and again, in the
	// events of a pod for one, where each new text is another row.
	requestID string
}

func newReason(code, message string) *reason { return &reason{code: code, message: message} }

func (r *reason) Error() string { return r.code + ": " + r.message }

// ErrorCode returns a value of the result label of irsa_sidecar_refreshes_total.
func (r *reason) ErrorCode() string { return r.code }

// ErrorMessage says, to a person, what happened and what to look at.
func (r *reason) ErrorMessage() string { return r.message }

// coded is how an error from below says its code.
type coded interface {
	error
	ErrorCode() string
	ErrorMessage() string
}

// reasonFor turns an error of a provider into a reason.
func reasonFor(err error) *reason {
	if why, ok := errors.AsType[*reason](err); ok {
		return why
	}
	if c, ok := errors.AsType[coded](err); ok && slices.Contains(codes(), c.ErrorCode()) {
		return newReason(c.ErrorCode(), c.ErrorMessage())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return newReason(codeTimeout, err.Error())
	}
	return newReason(codeOther, err.Error())
}
