package standin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AgentURL is where pods reach the EKS Pod Identity agent over IPv4.
const AgentURL = "http://169.254.170.23/v1/credentials"

// AgentAudience is the audience of tokens for the agent.
const AgentAudience = "pods.eks.amazonaws.com"

const (
	// agentSession is how long the sessions of EKS Pod Identity last by default.
	agentSession = 6 * time.Hour

	// agentRenewal is the age at which the agent replaces what it has cached, by
	// default.
	agentRenewal = 3 * time.Hour

	// agentLeast is the least that is left of what the agent hands out.
	agentLeast = 15 * time.Second
)

// Agent is an http.Handler that answers as the EKS Pod Identity agent does, and as EKS
// Auth behind it. It is safe for concurrent use, and all settings may change while it
// serves.
//
// See https://github.com/aws/eks-pod-identity-agent and
// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html.
type Agent struct {
	sts  *STS // knows the credentials
	role string

	mu sync.Mutex // guards the fields below

	now      func() time.Time
	cluster  provider // its issuer
	subject  string   // of the service account that is associated with the role
	trusts   bool     // whether the role trusts EKS Pod Identity
	lifetime time.Duration
	renewal  time.Duration
	cache    map[string]cached // by token
	requests []AgentRequest

	faults
}

// cached are credentials in the agent's cache.
type cached struct {
	Credentials
	since time.Time
}

// AgentRequest is a request that the agent received.
type AgentRequest struct {
	Time   time.Time
	Header http.Header
	// Outcome is "" if the agent answered with credentials, even if a fault then spoilt
	// them. Otherwise it is the error code of EKS Auth, the HTTP status, or [Faulted].
	Outcome string
	// Credentials are those that it answered with.
	Credentials Credentials
	// Spoilt is whether a fault was applied.
	Spoilt bool
}

// NewAgent returns the agent of a cluster with that issuer, whose service account app in
// the namespace default is associated with role. STS knows the credentials that it hands
// out.
func NewAgent(issuer *Issuer, sts *STS, role string) *Agent {
	return &Agent{sts: sts, role: role, now: time.Now, cluster: providers([]*Issuer{issuer})[0], subject: subject(defaultNamespace, defaultServiceAccount), trusts: true,
		lifetime: agentSession, renewal: agentRenewal, cache: map[string]cached{}}
}

// SetClock sets the clock of the agent's node; nil means time.Now.
func (a *Agent) SetClock(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = now
}

// SetSessions sets how long sessions last, and the age at which the agent replaces them;
// 0 means the default.
func (a *Agent) SetSessions(lifetime, renewal time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lifetime, a.renewal = cmp.Or(lifetime, agentSession), cmp.Or(renewal, agentRenewal)
}

// Associate sets which service account of the namespace default has an association, and
// whether its role trusts EKS Pod Identity. As with the real agent, what is cached is
// still handed out.
func (a *Agent) Associate(serviceAccount string, trusts bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subject, a.trusts = subject(defaultNamespace, serviceAccount), trusts
}

// SetCluster makes it the agent of a real cluster, in which that service account has the
// association. It fetches the issuer's keys as [STS.AddProvider] does.
func (a *Agent) SetCluster(issuer string, client *http.Client, namespace, serviceAccount string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = discovered(issuer, client)
	a.subject = subject(namespace, serviceAccount)
}

// Forget empties the cache, as a restart of the agent does.
func (a *Agent) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache = map[string]cached{}
}

// Requests returns the requests received so far, in order, including those that are still
// being answered.
func (a *Agent) Requests() []AgentRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// ServeHTTP implements http.Handler.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := a.take()
	a.mu.Lock()
	n := len(a.requests)
	a.requests = append(a.requests, AgentRequest{Time: time.Now(), Header: r.Header.Clone(), Outcome: Faulted, Spoilt: fault != nil})
	a.mu.Unlock()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := a.exchange(r)
		a.mu.Lock()
		a.requests[n].Credentials, a.requests[n].Outcome = c, outcome(err)
		a.mu.Unlock()
		if err != nil {
			http.Error(w, err.message, err.status)
			return
		}
		writeAgentAnswer(w, c)
	})
	if fault != nil {
		fault(handler).ServeHTTP(w, r)
		return
	}
	handler(w, r)
}

func outcome(err *refusal) string {
	if err == nil {
		return ""
	}
	return cmp.Or(err.code, fmt.Sprint(err.status))
}

// writeAgentAnswer writes credentials as the agent does: with the account, without a role,
// and with nanoseconds.
func writeAgentAnswer(w http.ResponseWriter, c Credentials) {
	body, _ := json.Marshal(map[string]string{ // strings can always be marshalled
		"AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.SessionToken,
		"AccountId": c.Account, "Expiration": c.Expiration.Format(time.RFC3339Nano),
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // for faults that capture the answer
	_, _ = w.Write(body)
}

// exchange returns the credentials for a request.
func (a *Agent) exchange(r *http.Request) (Credentials, *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	raw := r.Header.Get("Authorization")
	claims := unverifiedClaims(raw)
	now := a.now()
	switch {
	case r.URL.Path != "/v1/credentials":
		return Credentials{}, &refusal{http.StatusNotFound, "", "404 page not found"}
	case host != "169.254.170.23" && host != "fd00:ec2::23":
		return Credentials{}, &refusal{http.StatusForbidden, "", "Access Denied. Called agent through invalid address, please use either [169.254.170.23 fd00:ec2::23] address not " + host}
	case raw == "":
		return Credentials{}, &refusal{http.StatusBadRequest, "", "Service account token cannot be empty"}
	case claims == nil:
		return Credentials{}, &refusal{http.StatusBadRequest, "", "Service account token cannot be parsed: token is malformed: " + raw}
	case claims.Expiry != nil && !now.Before(claims.Expiry.Time()):
		return Credentials{}, &refusal{http.StatusBadRequest, "", "Service account token failed basic claim validations: token has invalid claims: token is expired"}
	}
	if c, ok := a.cache[raw]; ok && c.Expiration.Sub(now) > agentLeast && now.Sub(c.since) < a.renewal {
		return c.Credentials, nil
	}
	if err := a.authorize(r.Context(), raw, claims); err != nil {
		return Credentials{}, err
	}
	c := a.sts.grant(a.role, "eks-demo-"+podOf(claims.Subject)+"-"+uid(fmt.Sprint(len(a.requests)))[:8], a.lifetime)
	if c.Expiration.Sub(now) <= agentLeast {
		return Credentials{}, &refusal{http.StatusInternalServerError, "", "error getting credentials to cache: fetched credentials are expired or will expire within the next 15.00 seconds"}
	}
	a.cache[raw] = cached{c, now}
	return c, nil
}

// authorize is what EKS Auth checks. The caller holds a.mu.
func (a *Agent) authorize(ctx context.Context, raw string, claims *jwt.Claims) *refusal {
	refuse := func(status int, code, message string) *refusal {
		return &refusal{status, code, fmt.Sprintf("[%s]: (%s): %s, fault: client", uid(raw), code, message)}
	}
	awsNow := a.sts.clock()
	switch {
	case claims.Issuer != a.cluster.issuer || !a.signed(ctx, raw):
		return refuse(http.StatusBadRequest, "InvalidTokenException", "The token included in the request is not one of the cluster: "+raw)
	case !slices.Contains(claims.Audience, AgentAudience):
		return refuse(http.StatusBadRequest, "InvalidTokenException", "The token included in the request has an invalid audience: "+raw)
	case claims.Expiry == nil || !awsNow.Before(claims.Expiry.Time()):
		return refuse(http.StatusBadRequest, "ExpiredTokenException", "The token included in the request is expired")
	case claims.NotBefore.Time().After(awsNow.Add(issueLeeway)):
		return refuse(http.StatusBadRequest, "InvalidTokenException", "The token included in the request is not valid yet")
	case claims.Subject != a.subject:
		return refuse(http.StatusNotFound, "ResourceNotFoundException", "No association found for the service account")
	case !a.trusts:
		return refuse(http.StatusForbidden, "AccessDeniedException", "Unauthorized Exception! EKS does not have permissions to assume the associated role.")
	}
	return nil
}

// signed reports whether the cluster has signed a token. The caller holds a.mu.
func (a *Agent) signed(ctx context.Context, raw string) bool {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return false
	}
	key := signer(ctx, []provider{a.cluster}, token.Headers[0].KeyID)
	return key != nil && token.Claims(key) == nil
}

// podOf returns the name of the pod of a service account.
func podOf(subject string) string {
	return subject[strings.LastIndexByte(subject, ':')+1:] + "-6d4b75cb6d-hx2vk"
}

// clock returns the time of AWS.
func (s *STS) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// grant issues credentials, which last a fraction of a second longer than STS writes.
func (s *STS) grant(role, session string, lifetime time.Duration) Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.newCredentials(role, session, s.now().Add(lifetime))
	c.Expiration = c.Expiration.Add(123456789)
	s.issued = append(s.issued, c)
	return c
}
