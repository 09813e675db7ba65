package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"irsa-sidecar/internal/sts"
)

// The kinds are the names of the causes in package sts.
func TestKinds(t *testing.T) {
	for kind, cause := range map[string]string{KindDenied: sts.CauseDenied, KindNoProvider: sts.CauseNoProvider, KindAudience: sts.CauseAudience, KindTooLong: sts.CauseTooLong, KindUnknownHost: sts.CauseUnknownHost} {
		if kind != cause {
			t.Errorf("%q is not %q", kind, cause)
		}
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	good := Reach{Host: "sts.eu-west-1.amazonaws.com", DNS: 1500 * time.Microsecond, Connect: 2 * time.Millisecond, TLS: 9 * time.Millisecond, Answer: 30 * time.Millisecond, Issuer: "Amazon", Date: now}
	change := func(f func(*Reach)) Reach { r := good; f(&r); return r }
	address := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	tests := []struct {
		name    string
		reach   Reach
		failure *Failure
		mesh    string
		want    string
	}{
		{name: "good", reach: good, want: "ok network sts.eu-west-1.amazonaws.com directly: DNS 2 ms, TCP 2 ms, TLS 9 ms, answer 30 ms; certificate from Amazon; the clocks agree"},
		{name: "no date", reach: change(func(r *Reach) { r.Date = time.Time{} }), want: "ok network sts.eu-west-1.amazonaws.com directly: DNS 2 ms, TCP 2 ms, TLS 9 ms, answer 30 ms; certificate from Amazon"},
		{name: "VPC endpoint", reach: change(func(r *Reach) { r.Addresses = address("10.0.1.5") }), want: "DNS 2 ms (10.0.1.5, private: a VPC endpoint)"},
		{name: "public", reach: change(func(r *Reach) { r.Addresses = address("52.1.2.3") }), want: "DNS 2 ms (52.1.2.3),"},
		{name: "private, not of AWS", reach: change(func(r *Reach) { r.Host, r.Addresses = "sts.corp.example", address("10.0.1.5") }), want: "DNS 2 ms (10.0.1.5),"},
		{name: "proxy", reach: change(func(r *Reach) { r.Proxy, r.Addresses = "proxy.corp:3128", address("10.0.1.5") }), want: "ok network sts.eu-west-1.amazonaws.com through the proxy proxy.corp:3128: DNS 2 ms (10.0.1.5),"},
		{name: "no TLS", reach: change(func(r *Reach) { r.TLS, r.Issuer = 0, "" }), want: "answer 30 ms; without TLS; the clocks agree"},
		{name: "slow clock", reach: change(func(r *Reach) { r.Date = now.Add(time.Minute) }), want: "warn network this node's clock is 1m behind that of STS; sts."},
		{name: "wrong clock", reach: change(func(r *Reach) { r.Date = now.Add(-2 * time.Hour) }), want: "FAIL network this node's clock is 2h ahead of that of STS; sts."},
		{name: "no such name", failure: &Failure{Kind: KindUnknownHost, What: "no such host", Fix: "fix"}, want: "FAIL network no such host: is the region's name right? fix"},
		{name: "refused", reach: Reach{DNS: time.Millisecond}, failure: &Failure{What: "connection refused", Proves: "It is there.", Fix: "fix"}, want: "FAIL network connection refused; before that, DNS 1 ms It is there. fix"},
		{name: "refused in a mesh", failure: &Failure{What: "connection refused", Fix: "fix"}, mesh: "Istio", want: "FAIL network connection refused fix Istio is in this pod: its proxy must start before"},
		{name: "redirected by a mesh", reach: Reach{Refused: "52.1.2.3:443"}, failure: &Failure{What: "connection refused", Fix: "fix"}, mesh: "Linkerd",
			want: "FAIL network connection refused fix Linkerd redirects what this pod sends to its proxy, which does not run yet: this is proven, as a connection to 52.1.2.3:443 came to the proxy's port."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := healthy(t)
			s.Reach = func(ctx context.Context) (Reach, *Failure) {
				if _, limited := ctx.Deadline(); !limited {
					t.Error("it may take for ever")
				}
				return tt.reach, tt.failure
			}
			s.Mesh = func(_ context.Context, refused string) (string, bool) { return tt.mesh, refused != "" }
			if r := of(t, s, "network"); !strings.Contains(r.all(), tt.want) {
				t.Errorf("got %s", r.all())
			}
			if r := of(t, s, "STS"); (r.Status == Skipped) != (tt.failure != nil) {
				t.Errorf("got %s", r.all())
			}
		})
	}
}

// What STS says leads to what it proves. Whatever it says, it is called twice at most.
func TestSTS(t *testing.T) {
	t.Parallel()
	const address = "https://127.0.0.1:"
	tests := []struct {
		name     string
		duration time.Duration
		longest  bool
		answers  []*Failure // nil: granted
		want     []string
		calls    string
	}{
		{name: "granted", answers: []*Failure{nil}, want: []string{"ok STS AssumeRoleWithWebIdentity granted credentials until 2026-11-28T13:00:00Z"}, calls: "1h"},
		{name: "denied", answers: []*Failure{{Code: "AccessDenied", Kind: KindDenied, What: "no"}}, calls: "1h", want: []string{
			"FAIL STS AccessDenied: no. Provider, audience, signature and time are right", ":sub at the key :aud", "a * under StringEquals", ":sub belongs", "oidc.eks.REGION", "misspelt", "SCP", `"Effect": "Allow"`, "system:serviceaccount:default:app"}},
		{name: "no provider", answers: []*Failure{{Code: "InvalidIdentityToken", Kind: KindNoProvider, What: "no", Fix: `the issuer in the log line "token loaded", or so`}}, calls: "1h", want: []string{
			"FAIL STS InvalidIdentityToken: no. Account 111122223333 has no OIDC provider", "the issuer above, or so", "aws iam create-open-id-connect-provider --url " + address, " --client-id-list sts.amazonaws.com"}},
		{name: "audience", answers: []*Failure{{Code: "InvalidIdentityToken", Kind: KindAudience, What: "no"}}, calls: "1h", want: []string{
			"its client IDs lack sts.amazonaws.com", "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::111122223333:oidc-provider/127.0.0.1:", " --client-id sts.amazonaws.com"}},
		{name: "another", answers: []*Failure{{Code: "other", What: "what", Proves: "This.", Fix: "do that"}}, calls: "1h", want: []string{"FAIL STS other: what This. do that"}},
		{name: "too long", duration: 4 * time.Hour, answers: []*Failure{{Code: "ValidationError", Kind: KindTooLong, What: "too long", Fix: "do that"}, nil}, calls: "4h 1h", want: []string{
			"FAIL STS ValidationError: too long: the role does not allow --duration 4h; 1h works, so the trust policy is right do that"}},
		{name: "too long, with --duration max", duration: 12 * time.Hour, longest: true, answers: []*Failure{{Code: "ValidationError", Kind: KindTooLong, What: "too long"}, nil}, calls: "12h 1h", want: []string{
			"ok STS AssumeRoleWithWebIdentity granted credentials"}},
		{name: "too long, and more", duration: 4 * time.Hour, answers: []*Failure{{Code: "ValidationError", Kind: KindTooLong, What: "too long"}, {Code: "AccessDenied", What: "no"}}, calls: "4h 1h", want: []string{"FAIL STS ValidationError: too long"}},
		{name: "too long for 1 h", answers: []*Failure{{Code: "ValidationError", Kind: KindTooLong, What: "too long"}}, calls: "1h", want: []string{"FAIL STS ValidationError: too long"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := healthy(t)
			s.Duration, s.Longest = max(tt.duration, time.Hour), tt.longest
			var calls []string
			s.Assume = func(ctx context.Context, d time.Duration) (aws.Credentials, *Failure) {
				if _, limited := ctx.Deadline(); !limited {
					t.Error("it may take for ever")
				}
				calls = append(calls, short(d))
				if len(calls) > len(tt.answers) {
					t.Errorf("call %d", len(calls))
					return granted, nil
				}
				return granted, tt.answers[len(calls)-1]
			}
			r := of(t, s, "STS")
			for _, want := range tt.want {
				if !strings.Contains(r.all(), want) {
					t.Errorf("it lacks %q: %s", want, r.all())
				}
			}
			if got := strings.Join(calls, " "); got != tt.calls {
				t.Errorf("calls for %s, want %s", got, tt.calls)
			}
		})
	}
}

// What is granted is looked at, and never printed.
func TestGranted(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]aws.Credentials{
		"FAIL STS AssumeRoleWithWebIdentity answered with incomplete credentials": {AccessKeyID: "ASIACANARY", SessionToken: "canary-session", Expires: now.Add(time.Hour)},
		"FAIL STS AssumeRoleWithWebIdentity granted credentials that expired at":  {AccessKeyID: "ASIACANARY", SecretAccessKey: "canary-secret", SessionToken: "canary-session", Expires: now.Add(-time.Second)},
	} {
		s := healthy(t)
		s.Assume = func(context.Context, time.Duration) (aws.Credentials, *Failure) { return c, nil }
		if r := firstFailure(t, s); !strings.HasPrefix(r.all(), want) || strings.Contains(strings.ToLower(r.all()), "canary") {
			t.Errorf("got %s", r.all())
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		who     string
		failure *Failure
		want    string
	}{
		{who: "arn:aws:sts::111122223333:assumed-role/app/pod-1", want: "ok identity arn:aws:sts::111122223333:assumed-role/app/pod-1"},
		{who: "arn:aws:sts::111122223333:assumed-role/app2/pod-1", want: "FAIL identity the credentials are those of arn:aws:sts::111122223333:assumed-role/app2/pod-1, and the role is " + role},
		{who: "arn:aws:sts::999999999999:assumed-role/app/pod-1", want: "FAIL identity "},
		{who: "arn:aws-cn:sts::111122223333:assumed-role/app/pod-1", want: "FAIL identity "},
		{who: "arn:aws:iam::111122223333:user/proxy", want: "FAIL identity "},
		{who: "", want: "FAIL identity "},
		{failure: &Failure{Code: "network", What: "w"}, want: "warn identity GetCallerIdentity: network: w"},
		{failure: &Failure{Code: "AccessDenied", What: "w"}, want: "warn identity GetCallerIdentity: AccessDenied: w it needs no permission"},
		{failure: &Failure{Code: "other", What: "InvalidClientTokenId"}, want: "FAIL identity GetCallerIdentity: other: InvalidClientTokenId"},
	}
	for _, tt := range tests {
		s := healthy(t)
		calls := 0
		s.Identity = func(_ context.Context, c aws.Credentials) (string, *Failure) {
			if calls++; c != granted || calls > 1 {
				t.Errorf("call %d with %v", calls, c)
			}
			return tt.who, tt.failure
		}
		if r := of(t, s, "identity"); !strings.HasPrefix(r.all(), tt.want) {
			t.Errorf("got %s, want %s", r.all(), tt.want)
		}
	}
}

// The STS of MinIO or Ceph has neither trust policies of AWS nor GetCallerIdentity.
func TestOtherServices(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Role.AccountID, s.Role.Partition, s.Partition, s.Region = "", "minio", "", ""
	for _, r := range results(t, s) {
		if want := map[bool]Status{true: Skipped, false: OK}[r.Step == "identity"]; r.Status != want {
			t.Errorf("%s", r.all())
		}
	}
	s.Assume = func(context.Context, time.Duration) (aws.Credentials, *Failure) {
		return aws.Credentials{}, &Failure{Code: "AccessDenied", Kind: KindDenied, What: "no", Fix: "fix"}
	}
	if r := firstFailure(t, s); r.all() != "FAIL STS AccessDenied: no fix " {
		t.Errorf("got %s", r.all())
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Endpoints = append(s.Endpoints, Endpoint{"169.254.170.2:80", func(context.Context) error { return errors.New("no") }}, s.Endpoints[0])
	var got []string
	for _, r := range results(t, s) {
		if r.Step == "endpoints" {
			got = append(got, r.all())
		}
	}
	if len(got) != 3 || !strings.HasPrefix(got[1], "FAIL endpoints 169.254.170.2:80: no") || !strings.HasPrefix(got[2], "ok endpoints 127.0.0.1:9911 serves credentials") {
		t.Errorf("got %q", got)
	}
}

func TestPodIdentity(t *testing.T) {
	t.Parallel()
	setup := func() *Setup {
		s := healthy(t)
		s.PodIdentity, s.Source = true, "pod-identity"
		issued, _ := newIssuer(t)
		s.holds(t, issued.Token(agentClaims))
		return s
	}
	s := setup()
	var steps []string
	for _, r := range results(t, s) {
		if steps = append(steps, r.Step); r.Status != OK {
			t.Errorf("%s", r.all())
		}
	}
	if got := fmt.Sprint(steps); got != "[settings source token file claims agent identity endpoints metadata]" {
		t.Errorf("got %s", got)
	}
	s.Assume = func(context.Context, time.Duration) (aws.Credentials, *Failure) {
		return aws.Credentials{}, &Failure{Code: "network", What: "cannot reach the agent: connection refused", Fix: "is the add-on running?"}
	}
	s.Agent = "[fd00:ec2::23]:80"
	s.Mesh = func(_ context.Context, refused string) (string, bool) { return "Istio", refused != "" }
	if r := firstFailure(t, s); !strings.HasPrefix(r.all(), "FAIL agent network: cannot reach the agent: connection refused is the add-on running?") ||
		!strings.Contains(r.all(), "a connection to [fd00:ec2::23]:80 came") {
		t.Errorf("got %s", r.all())
	}
	s = setup()
	s.Identity = nil
	if r := of(t, s, "identity"); r.Status != Skipped {
		t.Errorf("got %s", r.all())
	}
	s.Identity = func(context.Context, aws.Credentials) (string, *Failure) { return "", &Failure{Code: "timeout"} }
	if r := of(t, s, "identity"); r.Status != Skipped { // STS need not be in reach
		t.Errorf("got %s", r.all())
	}
	s.holds(t, newToken(t))
	if r := firstFailure(t, s); !strings.HasPrefix(r.Text, "the token is for sts.amazonaws.com, and the EKS Pod Identity agent accepts only pods.eks.amazonaws.com") {
		t.Errorf("got %s", r.all())
	}
}

// The metadata service of the node is a danger, that of the sidecar is not: on 127.0.0.2 it
// looks like another machine's.
func TestMetadata(t *testing.T) {
	t.Parallel()
	serve := func(address string, status map[string]int) string {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if status[r.Method] == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status[r.Method])
			fmt.Fprint(w, "canary")
		})}}
		srv.Start()
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for name, tt := range map[string]struct{ url, want string }{
		"of the node":      {serve("127.0.0.2:0", map[string]int{"PUT": 200}), "warn metadata the instance metadata service of the node answers (IMDSv2): "},
		"hop limit of 1":   {serve("127.0.0.2:0", map[string]int{"GET": 200}), "warn metadata the instance metadata service of the node answers (IMDSv1): "},
		"of the sidecar":   {serve("127.0.0.1:0", map[string]int{"PUT": 200}), "ok metadata the instance metadata service in reach is in this pod"},
		"refused":          {serve("127.0.0.2:0", map[string]int{"PUT": 403}), "ok metadata the instance metadata service of the node answers HTTP 403"},
		"version 1 is off": {serve("127.0.0.2:0", map[string]int{"GET": 401}), "ok metadata the instance metadata service of the node answers HTTP 401"},
		"an old agent":     {serve("127.0.0.2:0", map[string]int{"PUT": 404, "GET": 200}), "warn metadata the instance metadata service of the node answers (IMDSv1): "},
		"none":             {"http://127.0.0.1:1", "ok metadata the instance metadata service of the node is not in reach"},
	} {
		s := healthy(t)
		s.Metadata = tt.url
		if r := of(t, s, "metadata"); !strings.HasPrefix(r.all(), tt.want) || strings.Contains(r.all(), "canary") {
			t.Errorf("%s: got %s", name, r.all())
		}
	}
}
