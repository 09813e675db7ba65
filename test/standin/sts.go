package standin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	apiVersion = "2011-06-15"
	// A realistic size. AWS documents no size and names 4096 as a usual bound.
	defaultTokenLength = 900
)

// Role is an IAM role that trusts one service account. Empty fields mean the
// service account app in the namespace default, sts.amazonaws.com, and one hour,
// which is IAM's default for the maximum session duration.
type Role struct {
	ARN            string
	Namespace      string
	ServiceAccount string
	// Audience is both registered with the OIDC provider and required by the
	// role's trust policy.
	Audience    string
	MaxDuration time.Duration
}

// Credentials are the credentials of one session.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time

	// SessionARN is arn:aws:sts::111122223333:assumed-role/NAME/SESSION.
	SessionARN string
	// UserID is GetCallerIdentity's UserId: the role's id, a colon and the session
	// name.
	UserID  string
	Account string
}

// Faulted is the outcome of a request that a fault has left without credentials
// and without an STS error code.
const Faulted = "Faulted"

// Request is an AssumeRoleWithWebIdentity request that STS received.
type Request struct {
	Time   time.Time
	Header http.Header
	Form   url.Values
	// Outcome is "" if STS granted credentials, even if a fault then spoilt them.
	// Otherwise it is the error code of the answer, or [Faulted].
	Outcome string
	// Claims are the token's claims, unverified; nil if they cannot be parsed.
	Claims *jwt.Claims
}

// STS is an http.Handler that answers AssumeRoleWithWebIdentity and
// GetCallerIdentity as AWS STS does. It is safe for concurrent use, and all
// settings may change while it serves.
//
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
// and https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html.
type STS struct {
	mu sync.Mutex // guards the fields below

	service     Service
	now         func() time.Time
	lifetime    time.Duration
	tokenLength int
	providers   []provider
	roles       map[string]Role
	audiences   map[string]bool
	issued      []Credentials
	requests    []Request

	faults
}

// NewSTS returns the STS of an account that has an OIDC provider for each issuer
// and no roles. Every provider accepts the audience sts.amazonaws.com.
func NewSTS(issuers ...*Issuer) *STS {
	return &STS{
		now:         time.Now,
		tokenLength: defaultTokenLength,
		providers:   providers(issuers),
		roles:       map[string]Role{},
		audiences:   map[string]bool{defaultAudience: true},
	}
}

// AddRole adds a role, or replaces the role with that ARN.
func (s *STS) AddRole(role Role) {
	role.Namespace = cmp.Or(role.Namespace, defaultNamespace)
	role.ServiceAccount = cmp.Or(role.ServiceAccount, defaultServiceAccount)
	role.Audience = cmp.Or(role.Audience, defaultAudience)
	role.MaxDuration = cmp.Or(role.MaxDuration, time.Hour)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[role.ARN] = role
	s.audiences[role.Audience] = true
}

// SetIssuers replaces the issuers that the account has a provider for, as when an
// OIDC provider is deleted or a signing key is rotated.
func (s *STS) SetIssuers(issuers ...*Issuer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers = providers(issuers)
}

// SetClock sets the clock of STS; nil means time.Now.
func (s *STS) SetClock(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// SetGrantLifetime makes sessions last d whatever the request says, so that tests
// see refreshes within seconds; 0 honours the request. The expiration is rounded
// down to a whole second, so up to one second of d is lost.
func (s *STS) SetGrantLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// SetSessionTokenLength sets the length of session tokens, which AWS does not
// limit. The default is 900.
func (s *STS) SetSessionTokenLength(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokenLength = n
}

// Requests returns the AssumeRoleWithWebIdentity requests received so far, in
// order, including those that are still being answered.
func (s *STS) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Credentials returns all credentials issued so far, in order.
func (s *STS) Credentials() []Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.issued)
}

// ServeHTTP implements http.Handler.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Always read the whole body: only then does net/http notice that a client
	// disconnects while a fault keeps it waiting.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, formErr := url.ParseQuery(string(body))
	action := form.Get("Action")

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var result any
		err := checkQuery(r, form, formErr)
		if err == nil {
			result, err = s.perform(action, r, form, body)
		}
		service := s.imitated()
		err = service.refusal(err)
		note(r.Context(), err)
		service.answer(w, result, err)
	})
	if action != "AssumeRoleWithWebIdentity" {
		handler(w, r)
		return
	}
	fault, n := s.receive(r, form)
	r = r.WithContext(context.WithValue(r.Context(), noteKey{}, func(code string) { s.outcome(n, code) }))
	if fault == nil {
		handler(w, r)
		return
	}
	fault(handler).ServeHTTP(w, r)
}

// receive records the request and returns the fault to answer it with, if any,
// and the request's index.
func (s *STS) receive(r *http.Request, form url.Values) (Fault, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.take()
	req := Request{
		Time:    s.now(),
		Header:  r.Header.Clone(),
		Form:    form,
		Outcome: Faulted,
		Claims:  unverifiedClaims(form.Get("WebIdentityToken")),
	}
	s.requests = append(s.requests, req)
	return fault, len(s.requests) - 1
}

func (s *STS) outcome(n int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[n].Outcome = code
}

func (s *STS) perform(action string, r *http.Request, form url.Values, body []byte) (any, error) {
	switch {
	case action == "AssumeRoleWithWebIdentity":
		return s.assumeRole(r, form)
	case action == "GetCallerIdentity" && s.imitated() == AWS:
		return s.callerIdentity(r, form, body)
	case action == "":
		return nil, refusef(http.StatusBadRequest, "MissingAction", "Missing Action")
	default:
		return nil, refusef(http.StatusBadRequest, "InvalidAction",
			"Could not find operation %s for version %s", action, apiVersion)
	}
}

// checkQuery checks what all calls of the Query protocol have in common.
func checkQuery(r *http.Request, form url.Values, formErr error) error {
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		// AWS also accepts GET, but then the token would be part of the URL.
		return refusef(http.StatusMethodNotAllowed, "MethodNotAllowed", "%s is not allowed here, use POST", r.Method)
	case r.URL.Path != "/":
		return refusef(http.StatusNotFound, "UnknownOperationException", "nothing at the path %s", r.URL.Path)
	case r.URL.RawQuery != "":
		return refusef(http.StatusBadRequest, "InvalidQueryParameter", "parameters belong in the body, not in the URL")
	case err != nil || contentType != "application/x-www-form-urlencoded":
		return refusef(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
			"the content type is %q, not application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	case formErr != nil:
		return refusef(http.StatusNotFound, "MalformedQueryString", "The query string contains a syntax error")
	case form.Get("Version") != apiVersion:
		return refusef(http.StatusBadRequest, "NoSuchVersion",
			"The requested version (%s) of service AWSSecurityTokenService does not exist", form.Get("Version"))
	}
	for name, values := range form {
		if len(values) > 1 {
			return refusef(http.StatusBadRequest, "InvalidQueryParameter", "the parameter %s was given %d times", name, len(values))
		}
	}
	return nil
}

// newCredentials generates credentials that look like those of AWS. The caller
// holds s.mu.
func (s *STS) newCredentials(role, session string, expiration time.Time) Credentials {
	m := roleARN.FindStringSubmatch(role)
	partition, account, name := m[1], m[2], m[3]
	sum := sha256.Sum256([]byte(role))
	return Credentials{
		AccessKeyID:     "ASIA" + rand.Text()[:16],
		SecretAccessKey: randomBase64(40),
		SessionToken:    ("IQoJb3JpZ2luX2Vj" + randomBase64(s.tokenLength))[:s.tokenLength],
		Expiration:      expiration.UTC().Truncate(time.Second),
		SessionARN:      fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", partition, account, name, session),
		UserID:          "AROA" + base32.StdEncoding.EncodeToString(sum[:])[:17] + ":" + session,
		Account:         account,
	}
}

func randomBase64(n int) string {
	b := make([]byte, n)
	// crypto/rand never returns an error.
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)[:n]
}
