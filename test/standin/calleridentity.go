package standin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	signingDate      = "20060102T150405Z"
	signingSkew      = 15 * time.Minute
)

// callerIdentity implements GetCallerIdentity. It accepts only credentials that
// this STS has issued.
func (s *STS) callerIdentity(r *http.Request, form url.Values, body []byte) (*callerIdentityResponse, error) {
	for name := range form {
		if name != "Action" && name != "Version" {
			return nil, refusef(http.StatusBadRequest, "InvalidQueryParameter", "GetCallerIdentity has no parameter %s", name)
		}
	}
	if r.Header.Get("Authorization") == "" {
		return nil, refusef(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	sig, err := parseSignature(r.Header)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	now, issued := s.now(), slices.Clone(s.issued)
	s.mu.Unlock()
	n := slices.IndexFunc(issued, func(c Credentials) bool {
		return c.AccessKeyID == sig.accessKeyID && c.SessionToken == r.Header.Get("X-Amz-Security-Token")
	})
	if n < 0 {
		return nil, refusef(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	c := issued[n]
	if !now.Before(c.Expiration) {
		return nil, refusef(http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired")
	}
	if err := sig.checkScope(now); err != nil {
		return nil, err
	}
	if err := sig.verify(r, body, c.SecretAccessKey); err != nil {
		return nil, err
	}
	return &callerIdentityResponse{Result: callerIdentityResult{ARN: c.SessionARN, UserID: c.UserID, Account: c.Account}}, nil
}

// signature is a Signature Version 4 in an Authorization header:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
type signature struct {
	accessKeyID   string
	scope         []string // date, region, service, terminator
	signedHeaders []string
	signature     string
	date          time.Time
}

func parseSignature(header http.Header) (signature, error) {
	incomplete := func(text string) (signature, error) {
		return signature{}, refusef(http.StatusBadRequest, "IncompleteSignature", "%s", text)
	}
	parameters, ok := strings.CutPrefix(header.Get("Authorization"), signingAlgorithm+" ")
	if !ok {
		return incomplete("Unsupported AWS 'algorithm', only " + signingAlgorithm + " is supported")
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		values[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if values[name] == "" {
			return incomplete("Authorization header requires '" + name + "' parameter.")
		}
	}
	credential := strings.Split(values["Credential"], "/")
	if len(credential) != 5 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" +
			values["Credential"] + "'")
	}
	date, err := time.Parse(signingDate, header.Get("X-Amz-Date"))
	if err != nil {
		return incomplete("Authorization header requires existence of an 'X-Amz-Date' header in ISO 8601 basic format.")
	}
	return signature{
		accessKeyID:   credential[0],
		scope:         credential[1:],
		signedHeaders: strings.Split(values["SignedHeaders"], ";"),
		signature:     values["Signature"],
		date:          date,
	}, nil
}

func mismatchf(format string, args ...any) error {
	return refusef(http.StatusForbidden, "SignatureDoesNotMatch", format, args...)
}

// checkScope checks everything about the signature that does not need the secret
// key.
func (s signature) checkScope(now time.Time) error {
	clock, signed := now.UTC().Format(signingDate), s.date.Format(signingDate)
	switch earliest, latest := now.Add(-signingSkew).UTC(), now.Add(signingSkew).UTC(); {
	case s.date.Before(earliest):
		return mismatchf("Signature expired: %s is now earlier than %s (%s - 15 min.)", signed, earliest.Format(signingDate), clock)
	case s.date.After(latest):
		return mismatchf("Signature not yet current: %s is still later than %s (%s + 15 min.)", signed, latest.Format(signingDate), clock)
	case s.scope[0] != s.date.Format("20060102"):
		return mismatchf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.scope[0], s.date.Format("20060102"), signed)
	case s.scope[1] == "":
		return mismatchf("Credential should be scoped to a valid region, not ''. ")
	case s.scope[2] != "sts":
		return mismatchf("Credential should be scoped to correct service: 'sts'. ")
	case s.scope[3] != "aws4_request":
		return mismatchf("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.", s.scope[3])
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-security-token"} {
		if !slices.Contains(s.signedHeaders, name) {
			return mismatchf("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// verify recomputes the signature and compares it.
func (s signature) verify(r *http.Request, body []byte, secretAccessKey string) error {
	hash := hexSHA256(body)
	if sent := r.Header.Get("X-Amz-Content-Sha256"); sent != "" && sent != hash {
		return mismatchf("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	var headers strings.Builder
	for _, name := range s.signedHeaders {
		headers.WriteString(name + ":" + canonicalValue(r, name) + "\n")
	}
	// Path and query are fixed: checkQuery accepts no others.
	request := strings.Join([]string{http.MethodPost, "/", "", headers.String(), strings.Join(s.signedHeaders, ";"), hash}, "\n")
	toSign := strings.Join([]string{
		signingAlgorithm, s.date.Format(signingDate), strings.Join(s.scope, "/"), hexSHA256([]byte(request)),
	}, "\n")
	key := []byte("AWS4" + secretAccessKey)
	for _, part := range s.scope {
		key = hmacSHA256(key, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(hmacSHA256(key, toSign))), []byte(s.signature)) {
		return mismatchf("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// canonicalValue returns the header's values as they were signed: trimmed, with
// runs of spaces collapsed. net/http keeps two headers outside r.Header.
func canonicalValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
