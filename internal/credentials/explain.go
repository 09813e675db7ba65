package credentials

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxForeign bounds what is repeated of a text from outside, in bytes.
const maxForeign = 500

// explain turns an error of a call that was made with ctx, and came as far
// as at, into a reason. What STS says is repeated only as foreign allows; token
// is what was sent.
func (s *STS) explain(ctx context.Context, err error, at *stage, token string) *reason {
	// A read that the end of ctx has cut off may say that the connection was closed.
	if netErr, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && netErr.Timeout() {
		return newReason(codeTimeout, fmt.Sprintf("no answer from %s within %s, stuck at %s: check DNS, network policies, the proxy settings, and whether a mesh proxy has started", s.endpoint, attemptTimeout, at))
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.HTTPStatusCode() == 0 {
		said := "what answers does not speak HTTP, or a proxy refuses"
		if err := cause(err); quotable(err) {
			said = foreign(err.Error(), token)
		}
		return newReason(codeNetwork, fmt.Sprintf("cannot reach %s: %s: check DNS, network policies, the proxy settings and AWS_CA_BUNDLE", s.endpoint, said))
	}
	status := response.HTTPStatusCode()
	if status < 400 {
		if status/100 == 3 {
			return s.invalidResponse(fmt.Sprintf("HTTP %d, a redirect, which is not followed", status))
		}
		return s.invalidResponse(fmt.Sprintf("HTTP %d with a body that cannot be read as an answer of STS", status))
	}
	apiErr, ok := errors.AsType[smithy.APIError](err)
	said := ok && apiErr.ErrorCode() != "UnknownError"
	if !said && status != 429 && status < 500 {
		return s.invalidResponse(fmt.Sprintf("HTTP %d without an error code of AWS", status))
	}
	message := fmt.Sprintf("HTTP %d from %s", status, s.endpoint)
	raw := ""
	if said {
		raw = apiErr.ErrorCode()
		message = fmt.Sprintf("%s (%s)", foreign(apiErr.ErrorMessage(), token), message)
	}
	code := codeFor(raw, status)
	if code == codeOther && said {
		message = foreign(raw, token) + ": " + message
	}
	message += ": " + hintFor(code)
	return &reason{code: code, message: message, requestID: foreign(response.ServiceRequestID(), token)}
}

func (s *STS) invalidResponse(what string) *reason {
	return newReason(codeInvalidResponse, fmt.Sprintf("%s answered %s: check the endpoint, and whether a proxy answers in its place", s.endpoint, what))
}

// codeFor returns the code of a reason for an error of STS.
func codeFor(raw string, status int) string {
	switch {
	case status == 429 || strings.HasPrefix(raw, "Throttling"):
		return codeThrottled
	case status < 500 && slices.Contains(stsCodes(), raw):
		return raw
	}
	return codeOther
}

// hintFor says what a person should look at, in the terms of the Amazon EKS
// user guide, "Troubleshoot IAM roles for service accounts".
func hintFor(code string) string {
	switch code {
	case "AccessDenied":
		return `check the role ARN, and the role's trust policy: it must allow sts:AssumeRoleWithWebIdentity for the issuer, audience and subject that the log line "token loaded" shows`
	case "ExpiredTokenException":
		return "the token file holds a token that has expired: see whether the kubelet replaces it"
	case "IDPCommunicationError":
		return "STS cannot fetch the keys of the token's issuer: see whether the issuer's URL is reachable from AWS"
	case "IDPRejectedClaim":
		return "see whether the token is still valid and its issuer's keys are the ones published"
	case "InvalidIdentityToken":
		return `the account of the role needs an IAM OIDC provider with the issuer and audience that the log line "token loaded" shows; if that audience is not sts.amazonaws.com, correct the token's volume`
	case "MalformedPolicyDocument":
		return "correct the policy in --session-policy-file"
	case "PackedPolicyTooLarge":
		return "shorten --session-policy-file or --session-policy-arns"
	case "RegionDisabledException":
		return "activate STS for this region in the account, or set another --region"
	case "ValidationError":
		return "correct the setting that it names; a --duration must not exceed the role's maximum session duration"
	case codeThrottled:
		return "the account makes more calls to STS than its quota allows"
	}
	return "see whether that is the endpoint of STS, and what the AWS Health Dashboard says of STS"
}

// cause returns the part of an error of the SDK that says what happened: what
// lies below the URL, which is said anyway.
func cause(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	if sendErr, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return sendErr.Err
	}
	return err
}

// quotable tells whether an error of the transport speaks of the connection. Others
// repeat what net/http could not read of an answer, which may be anything in it, the
// credentials too.
func quotable(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	if isNet || isCertificate || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	// A proxy that refuses CONNECT is told by the text of its status.
	for status := 400; status < 600; status++ {
		if err.Error() == http.StatusText(status) {
			return true
		}
	}
	return false
}

// foreign makes a text from outside fit to repeat: without control characters,
// cut to 500 bytes, and nothing of it if it holds any part of the token that
// could be recognised as such.
func foreign(text, token string) string {
	text = strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' {
			return ' '
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, text)
	if repeats(text, token) {
		return "[dropped: it repeats the token]"
	}
	if len(text) > maxForeign {
		text = strings.ToValidUTF8(text[:maxForeign], "")
	}
	return text
}

// repeats tells whether text holds a segment of token, or a part of one that is
// too long to be there by chance, be it in pieces with something between.
func repeats(text, token string) bool {
	const byChance = 16
	for segment := range strings.SplitSeq(token, ".") {
		if segment != "" && strings.Contains(text, segment) {
			return true
		}
	}
	joined := strings.Map(func(c rune) rune {
		if isBase64URL(c) {
			return c
		}
		return -1
	}, text)
	for i := range len(joined) - byChance + 1 {
		if strings.Contains(token, joined[i:i+byChance]) {
			return true
		}
	}
	return false
}

func isBase64URL(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
