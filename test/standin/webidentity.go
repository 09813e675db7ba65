package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issueLeeway is how far ahead of the clock a token may be issued: AWS tolerates
// some skew, but does not document it.
const issueLeeway = 5 * time.Minute

var (
	roleARN     = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::(\d{12}):role/(?:[\x21-\x7e]+/)?([\w+=,.@-]{1,64})$`)
	policyARN   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(?:\d{12}|aws):policy/(?:[\x21-\x7e]+/)?[\w+=,.@-]{1,128}$`)
	policyParam = regexp.MustCompile(`^PolicyArns\.member\.([1-9]\d*)\.arn$`)
	// go-jose ignores white space in a token.
	compactJWT  = regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+$`)
	sessionName = regexp.MustCompile(`^[\w+=,.@-]*$`)
)

// assumeRole implements AssumeRoleWithWebIdentity.
func (s *STS) assumeRole(r *http.Request, form url.Values) (any, error) {
	if r.Header.Get("Authorization") != "" || r.Header.Get("X-Amz-Security-Token") != "" {
		return nil, refusef(http.StatusForbidden, "InvalidClientTokenId",
			"AssumeRoleWithWebIdentity must not be signed: it was sent with AWS credentials")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	duration, err := checkAssumeRole(form, s.service)
	if err != nil {
		return nil, err
	}
	now := s.now()
	claims, err := s.verify(r.Context(), form.Get("WebIdentityToken"), now)
	if err != nil {
		return nil, err
	}
	role, ok := s.roles[form.Get("RoleArn")]
	if !ok || claims.Subject != subject(role.Namespace, role.ServiceAccount) || !claims.Audience.Contains(role.Audience) {
		return nil, refusef(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	if duration > role.MaxDuration {
		return nil, refusef(http.StatusBadRequest, "ValidationError",
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if s.lifetime != 0 {
		duration = s.lifetime
	}
	if s.service != AWS {
		return s.compatible(role.ARN, form.Get("RoleSessionName"), now.Add(duration), claims), nil
	}
	c := s.newCredentials(role.ARN, form.Get("RoleSessionName"), now.Add(duration))
	s.issued = append(s.issued, c)
	return &assumeRoleResponse{Result: assumeRoleResult{
		Audience:        role.Audience,
		AssumedRoleUser: assumedRoleUser{AssumedRoleID: c.UserID, ARN: c.SessionARN},
		// The reference documents the iss claim here. AWS returns the provider's ARN.
		Provider:    providerARN(role.ARN, claims.Issuer),
		Credentials: newXMLCredentials(c),
		Subject:     claims.Subject,
	}}, nil
}

// violations collects the problems that AWS reports in one ValidationError.
type violations []string

func (v *violations) check(ok bool, value, member, rule string) {
	if !ok {
		*v = append(*v, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: Member must %s", value, member, rule))
	}
}

func (v *violations) length(form url.Values, name string, shortest, longest int) {
	member := strings.ToLower(name[:1]) + name[1:]
	value := form.Get(name)
	if !form.Has(name) {
		*v = append(*v, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", member))
		return
	}
	v.check(len(value) >= shortest, value, member, fmt.Sprintf("have length greater than or equal to %d", shortest))
	v.check(len(value) <= longest, value, member, fmt.Sprintf("have length less than or equal to %d", longest))
}

func (v *violations) err() error {
	switch len(*v) {
	case 0:
		return nil
	case 1:
		return refusef(http.StatusBadRequest, "ValidationError", "1 validation error detected: %s", (*v)[0])
	default:
		return refusef(http.StatusBadRequest, "ValidationError", "%d validation errors detected: %s", len(*v), strings.Join(*v, "; "))
	}
}

// checkAssumeRole checks the format of the parameters and returns the requested
// duration.
func checkAssumeRole(form url.Values, service Service) (time.Duration, error) {
	if err := errors.Join(checkNames(form), service.check(form)); err != nil {
		return 0, err
	}
	var v violations
	v.length(form, "RoleArn", 20, 2048)
	v.length(form, "RoleSessionName", 2, 64)
	v.check(sessionName.MatchString(form.Get("RoleSessionName")), form.Get("RoleSessionName"), "roleSessionName",
		`satisfy regular expression pattern: [\w+=,.@-]*`)
	v.length(form, "WebIdentityToken", 4, 20000)
	seconds := 3600
	if value := form.Get("DurationSeconds"); form.Has("DurationSeconds") {
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, refusef(http.StatusBadRequest, "MalformedInput", "DurationSeconds is not a whole number: '%s'", value)
		}
		v.check(n >= 900, value, "durationSeconds", "have value greater than or equal to 900")
		v.check(n <= 43200, value, "durationSeconds", "have value less than or equal to 43200")
		seconds = n
	}
	if form.Has("Policy") {
		v.length(form, "Policy", 1, 2048)
	}
	if err := v.err(); err != nil {
		return 0, err
	}
	if !service.roleARN().MatchString(form.Get("RoleArn")) {
		return 0, refusef(http.StatusBadRequest, "ValidationError", "Request ARN is invalid")
	}
	return time.Duration(seconds) * time.Second, checkPolicies(form)
}

// checkNames refuses unknown parameters. AWS does not, so a misspelt one goes
// unnoticed there.
func checkNames(form url.Values) error {
	for name := range form {
		switch name {
		case "Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds", "Policy":
		default:
			// ProviderId is for OAuth 2.0 access tokens; it must not come with an ID token.
			if !policyParam.MatchString(name) {
				return refusef(http.StatusBadRequest, "InvalidQueryParameter", "AssumeRoleWithWebIdentity has no parameter %s here", name)
			}
		}
	}
	return nil
}

func checkPolicies(form url.Values) error {
	if form.Has("Policy") {
		var policy struct {
			Statement json.RawMessage
		}
		if err := json.Unmarshal([]byte(form.Get("Policy")), &policy); err != nil {
			return refusef(http.StatusBadRequest, "MalformedPolicyDocument", "This policy contains invalid Json")
		}
		if len(policy.Statement) == 0 {
			return refusef(http.StatusBadRequest, "MalformedPolicyDocument", "Syntax errors in policy.")
		}
	}
	var numbers []int
	for name := range form {
		m := policyParam.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 10 {
			return refusef(http.StatusBadRequest, "ValidationError",
				"1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10")
		}
		if arn := form.Get(name); !policyARN.MatchString(arn) {
			return refusef(http.StatusBadRequest, "ValidationError", "ARN %s is not valid.", arn)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) > 0 && slices.Max(numbers) != len(numbers) {
		return refusef(http.StatusBadRequest, "MalformedInput", "PolicyArns.member is numbered with gaps")
	}
	return nil
}

// verify checks the token as the reference and the IAM user guide describe. The
// messages have been observed on AWS, except the one about a wrong signature,
// which is the reference's. The caller holds s.mu.
func (s *STS) verify(ctx context.Context, raw string, now time.Time) (*jwt.Claims, error) {
	invalid := func(format string, args ...any) (*jwt.Claims, error) {
		return nil, refusef(http.StatusBadRequest, "InvalidIdentityToken", format, args...)
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	claims := unverifiedClaims(raw)
	if err != nil || claims == nil || !compactJWT.MatchString(raw) {
		return invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	if missing := missingClaim(claims); missing != "" {
		return invalid("Missing a required claim: %s", missing)
	}
	known := slices.DeleteFunc(slices.Clone(s.providers), func(p provider) bool { return p.issuer != claims.Issuer })
	if len(known) == 0 {
		return invalid("No OpenIDConnect provider found in your account for %s", claims.Issuer)
	}
	key := signer(ctx, known, token.Headers[0].KeyID)
	if key == nil {
		// The two spaces are AWS's.
		return invalid("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	}
	if err := token.Claims(key); err != nil {
		return invalid("The web identity token that was passed could not be validated by AWS. Get a new identity token from the identity provider and then retry the request.")
	}
	if !slices.ContainsFunc(claims.Audience, func(a string) bool { return s.audiences[a] }) {
		return invalid("Incorrect token audience")
	}
	if expiry := claims.Expiry.Time(); !now.Before(expiry) {
		return nil, refusef(http.StatusBadRequest, "ExpiredTokenException",
			"Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), expiry.Unix())
	}
	if claims.IssuedAt.Time().After(now.Add(issueLeeway)) || claims.NotBefore.Time().After(now.Add(issueLeeway)) {
		return invalid("The web identity token is not valid yet")
	}
	return claims, nil
}

// signer returns the key with that id, or nil if no reachable provider has it.
func signer(ctx context.Context, known []provider, id string) *jose.JSONWebKey {
	for _, p := range known {
		keys, err := p.keys(ctx)
		if n := slices.IndexFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == id }); err == nil && n >= 0 {
			return &keys[n]
		}
	}
	return nil
}

func missingClaim(c *jwt.Claims) string {
	switch {
	case c.Issuer == "":
		return "iss"
	case c.Subject == "":
		return "sub"
	case len(c.Audience) == 0:
		return "aud"
	case c.Expiry == nil:
		return "exp"
	case c.IssuedAt == nil:
		return "iat"
	default:
		return ""
	}
}

// unverifiedClaims returns nil if the claims cannot be parsed.
func unverifiedClaims(raw string) *jwt.Claims {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return nil
	}
	return &claims
}

func providerARN(role, issuer string) string {
	m := roleARN.FindStringSubmatch(role)
	return fmt.Sprintf("arn:%s:iam::%s:oidc-provider/%s", m[1], m[2], strings.TrimPrefix(issuer, "https://"))
}
