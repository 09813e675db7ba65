package podidentity

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const role = "arn:aws:iam::111122223333:role/app"

var issuer = standin.NewIssuer("https://issuer.example")

// identity is a stscreds.IdentityTokenRetriever that returns this token.
type identity string

func (i identity) GetIdentityToken() ([]byte, error) { return []byte(i), nil }

func goodToken() string { return issuer.Token(standin.Claims{Audience: standin.AgentAudience}) }

// newStandin returns a stand-in for the agent, and a transport that leads there whatever
// the address.
func newStandin(t testing.TB) (*standin.Agent, *http.Transport) {
	t.Helper()
	fake := standin.NewAgent(issuer, standin.NewSTS(issuer), role)
	return fake, transportTo(t, fake)
}

func transportTo(t testing.TB, handler http.Handler) *http.Transport {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	transport := NewTransport()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	return transport
}

func TestRetrieve(t *testing.T) {
	t.Parallel()
	for _, url := range []string{standin.AgentURL, "http://[fd00:ec2::23]/v1/credentials"} {
		fake, transport := newStandin(t)
		got, err := New(url, identity(goodToken()), transport).Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := fake.Requests()[0].Credentials
		if got.AccessKeyID != want.AccessKeyID || got.SecretAccessKey != want.SecretAccessKey || got.SessionToken != want.SessionToken ||
			got.AccountID != "111122223333" || !got.CanExpire || !got.Expires.Equal(want.Expiration) || got.Expires.Nanosecond() == 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// The agent answers from its cache until the token or the age of what it has changes.
func TestTheAgentCaches(t *testing.T) {
	t.Parallel()
	sts := standin.NewSTS(issuer)
	fake := standin.NewAgent(issuer, sts, role)
	transport := transportTo(t, fake)
	token := identity(goodToken())
	retrieve := func(token identity) string {
		t.Helper()
		c, err := New(standin.AgentURL, token, transport).Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.AccessKeyID
	}
	first := retrieve(token)
	if again := retrieve(token); again != first {
		t.Errorf("got %s, then %s", first, again)
	}
	if other := retrieve(identity(goodToken())); other == first {
		t.Error("another token got the same credentials")
	}
	long := identity(issuer.Token(standin.Claims{Audience: standin.AgentAudience, Lifetime: 24 * time.Hour}))
	old := retrieve(long)
	for _, later := range []struct {
		after   time.Duration
		renewed bool
	}{{2 * time.Hour, false}, {3 * time.Hour, true}} {
		clock := func() time.Time { return time.Now().Add(later.after) }
		sts.SetClock(clock)
		fake.SetClock(clock)
		if got := retrieve(long); (got != old) != later.renewed {
			t.Errorf("after %v: got %s, first %s", later.after, got, old)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	impostor := issuer.WithNewKey()
	tests := []struct {
		name  string
		token string
		url   string
		set   func(*standin.Agent)
		want  string // code
		says  string
	}{
		{name: "another audience", token: issuer.Token(standin.Claims{}), want: codeInvalidToken, says: "HTTP 400 InvalidTokenException: the audience of the token volume must be pods.eks.amazonaws.com"},
		{name: "another key", token: impostor.Token(standin.Claims{Audience: standin.AgentAudience}), want: codeInvalidToken},
		{name: "an expired token", token: issuer.Token(standin.Claims{Audience: standin.AgentAudience, Lifetime: -time.Minute}), want: codeExpired, says: "subPath"},
		{name: "a token that EKS finds expired", set: func(a *standin.Agent) {
			a.Always(standin.AgentRefuses(http.StatusBadRequest, "ExpiredTokenException", "x"))
		}, want: codeExpired},
		{name: "not a token", token: "e30.e30.e30", want: codeInvalidToken},
		{name: "no association", set: func(a *standin.Agent) { a.Associate("other", true) }, want: codeNotFound, says: "create an association"},
		{name: "a role without trust", set: func(a *standin.Agent) { a.Associate("app", false) }, want: codeAccessDenied, says: "sts:TagSession"},
		{name: "the wrong address", url: "http://169.254.170.24/v1/credentials", want: codeInvalidResponse, says: "HTTP 403"},
		{name: "the wrong path", url: "http://169.254.170.23/v2", want: codeInvalidResponse, says: "HTTP 404: check that AWS_CONTAINER_CREDENTIALS_FULL_URI ends with /v1/credentials"},
		{name: "too many requests", set: func(a *standin.Agent) { a.Always(standin.Answer(429, "text/plain", "Too Many Requests")) }, want: codeThrottled},
		{name: "EKS throttles", set: func(a *standin.Agent) { a.Always(standin.AgentRefuses(400, "ThrottlingException", "x")) }, want: codeThrottled},
		{name: "an outage", set: func(a *standin.Agent) { a.Always(standin.AgentRefuses(503, "ServiceUnavailableException", "x")) }, want: codeOther, says: "HTTP 503 ServiceUnavailableException"},
		{name: "an error of the SDK without a request", set: func(a *standin.Agent) {
			a.Always(standin.Answer(500, "text/plain", "operation error EKS Auth: dial tcp: no route to host"))
		}, want: codeOther, says: "HTTP 500"},
		{name: "credentials that expire at once", set: func(a *standin.Agent) { a.SetSessions(10*time.Second, 0) }, want: codeOther},
		{name: "an unknown code", set: func(a *standin.Agent) { a.Always(standin.AgentRefuses(400, "InvalidRequestException", "x")) }, want: codeOther, says: "InvalidRequestException"},
		{name: "an empty request id", set: func(a *standin.Agent) {
			a.Always(standin.Answer(404, "text/plain", "[]: (ResourceNotFoundException): x, fault: client"))
		}, want: codeNotFound},
		{name: "no request id", set: func(a *standin.Agent) {
			a.Always(standin.Answer(404, "text/plain", "(ResourceNotFoundException): x, fault: client"))
		}, want: codeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, transport := newStandin(t)
			if tt.set != nil {
				tt.set(fake)
			}
			if tt.token == "" {
				tt.token = goodToken()
			}
			if tt.url == "" {
				tt.url = standin.AgentURL
			}
			_, err := New(tt.url, identity(tt.token), transport).Retrieve(t.Context())
			checkError(t, err, tt.want, tt.says, tt.token)
			if n := len(fake.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// checkError checks an error, and that it repeats no part of the token.
func checkError(t *testing.T, err error, code, says, token string) {
	t.Helper()
	got, ok := errors.AsType[*Error](err)
	if !ok || got.ErrorCode() != code || !strings.Contains(got.ErrorMessage(), says) || fix(code) == "" || !strings.HasSuffix(got.ErrorMessage(), fix(code)) {
		t.Fatalf("got %v, want %s … %s", err, code, says)
	}
	for segment := range strings.SplitSeq(token, ".") {
		if strings.Contains(got.Error()+got.ServiceRequestID(), segment) {
			t.Errorf("the token is repeated: %v", err)
		}
	}
}

// The request id of EKS is for the log.
func TestRequestID(t *testing.T) {
	t.Parallel()
	fake, transport := newStandin(t)
	fake.Associate("other", true)
	_, err := New(standin.AgentURL, identity(goodToken()), transport).Retrieve(t.Context())
	got, ok := errors.AsType[*Error](err)
	if !ok || len(got.ServiceRequestID()) != 36 || strings.Contains(got.Error(), got.ServiceRequestID()) {
		t.Errorf("got %v with the request id %q", err, got.ServiceRequestID())
	}
}

func TestNoTokenNoRequest(t *testing.T) {
	t.Parallel()
	fake, transport := newStandin(t)
	wrong := errors.New("token file is empty")
	_, err := New(standin.AgentURL, failing{wrong}, transport).Retrieve(t.Context())
	if err != wrong || len(fake.Requests()) != 0 {
		t.Errorf("got %v after %d requests", err, len(fake.Requests()))
	}
}

// failing is a stscreds.IdentityTokenRetriever that fails.
type failing struct{ err error }

func (f failing) GetIdentityToken() ([]byte, error) { return nil, f.err }

// The variables of a proxy are for others: the agent is on the node.
func TestNoProxy(t *testing.T) {
	if NewTransport().Proxy != nil {
		t.Error("a proxy would be asked")
	}
}
