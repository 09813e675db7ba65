package credentials

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"

	"irsa-sidecar/internal/podidentity"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/standin"
)

// grantor is who grants the credentials of a trial.
type grantor struct {
	name     string
	audience string        // of good tokens
	lifetime time.Duration // that the Refresher expects at most
	shortest time.Duration // what lasts no longer need not be granted
	codes    []string
	failures []failure
	endless  standin.Fault
	trusts   []trust // the first is the good one
	regions  bool    // there is a fallback region

	handler  func(*trial) http.Handler
	provider func(*trial, *http.Transport) aws.CredentialsProvider
	faults   func(*trial) faults
	grants   func(*trial, time.Duration)
}

// faults is how a stand-in is made to fail.
type faults interface {
	Always(standin.Fault)
	Next(...standin.Fault)
}

// trust is whom the role trusts.
type trust struct {
	what string
	do   func(*trial)
}

func stsGrantor() *grantor {
	trusting := func(r standin.Role) trust {
		return trust{fmt.Sprintf("role now trusts service account %q, for at most %v", r.ServiceAccount, r.MaxDuration), func(w *trial) {
			w.sts.AddRole(r)
			w.other.AddRole(r)
		}}
	}
	return &grantor{
		name: "STS", audience: "sts.amazonaws.com", lifetime: time.Hour, shortest: 12 * time.Second,
		codes: stsCodes(), failures: failures(), endless: standin.EndlessCredentials(),
		trusts:  []trust{trusting(standin.Role{ARN: role}), trusting(standin.Role{ARN: role, MaxDuration: 30 * time.Minute}), trusting(standin.Role{ARN: role, ServiceAccount: "other"})},
		handler: func(w *trial) http.Handler { return w.sts },
		provider: func(w *trial, transport *http.Transport) aws.CredentialsProvider {
			client := sts.New(sts.Options{Endpoint: "http://sts.example", Transport: transport}, w.reg)
			return stscreds.NewWebIdentityRoleProvider(client, role, w, func(o *stscreds.WebIdentityRoleOptions) {
				o.RoleSessionName, o.Duration = "pod-1", time.Hour
			})
		},
		faults: func(w *trial) faults { return w.sts },
		grants: func(w *trial, d time.Duration) {
			w.sts.SetGrantLifetime(d)
			w.other.SetGrantLifetime(d)
		},
	}
}

// regionsGrantor is STS in a region and in another one, which is asked while the first is down.
func regionsGrantor() *grantor {
	g := stsGrantor()
	g.regions = true
	g.handler = func(w *trial) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Host == "sts.eu-central-1.amazonaws.com" {
				w.other.ServeHTTP(rw, r)
				return
			}
			w.sts.ServeHTTP(rw, r)
		})
	}
	g.provider = func(w *trial, transport *http.Transport) aws.CredentialsProvider {
		valid := func() bool {
			_, err := w.Current()
			return err == nil
		}
		log := slog.New(slog.NewJSONHandler(w, nil))
		regions := sts.NewFallback(sts.Options{Region: "eu-west-1", Transport: transport}, []string{"eu-central-1"}, valid, log, w.reg)
		client := sts.NewSession(regions, nil, sts.Reload(sts.NewFiles(log, w.reg), "session-policy-file", w.policy, w.readPolicy), log)
		return stscreds.NewWebIdentityRoleProvider(client, role, w, func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName, o.Duration = "pod-1", time.Hour
		})
	}
	return g
}

// agentGrantor is the EKS Pod Identity agent, which caches.
func agentGrantor() *grantor {
	associated := func(account string, trusts bool) trust {
		return trust{fmt.Sprintf("service account %q is associated with a role that trusts: %t", account, trusts), func(w *trial) { w.agent.Associate(account, trusts) }}
	}
	g := &grantor{
		name: "the EKS Pod Identity agent", audience: standin.AgentAudience, lifetime: 12 * time.Hour, shortest: 20 * time.Second,
		failures: agentFailures(), endless: standin.AgentSets("Expiration", "9999-12-31T23:59:59.999999999Z"),
		trusts:  []trust{associated("app", true), associated("app", false), associated("other", true)},
		handler: func(w *trial) http.Handler { return w.agent },
		provider: func(w *trial, transport *http.Transport) aws.CredentialsProvider {
			return podidentity.New(standin.AgentURL, w, transport)
		},
		faults: func(w *trial) faults { return w.agent },
		grants: func(w *trial, d time.Duration) { w.agent.SetSessions(d, 0) },
	}
	for _, reason := range podidentity.Reasons() {
		g.codes = append(g.codes, reason.Code)
	}
	return g
}

// agentFailures returns the ways in which a call to the agent can fail.
func agentFailures() []failure {
	all := []failure{
		{"throttles", standin.Answer(429, "text/plain", "Too Many Requests")},
		{"fails without a body", standin.Answer(500, "", "")},
		{"hangs", standin.Hang()},
		{"resets the connection", standin.Reset()},
		{"sends half a body", standin.HalfBody()},
		{"drips for a minute", standin.Drip(40 * time.Millisecond)},
		{"is a captive portal", standin.Answer(200, "text/html", "<html>sign in</html>")},
		{"answers null", standin.Answer(200, "application/json", "null")},
		{"redirects to the metadata address", standin.Redirect(307, "http://169.254.169.254/latest/meta-data/")},
		{"echoes the token", standin.AgentEchoesToken()},
		{"sends a huge body", standin.HugeBody(200, tooLong)},
		{"sends a huge error", standin.HugeBody(400, tooLong)},
		{"grants no credentials", standin.AgentWithout("AccessKeyId", "SecretAccessKey", "Token")},
		{"grants credentials without a session token", standin.AgentWithout("Token")},
		{"grants credentials without an expiration", standin.AgentWithout("Expiration")},
		{"grants blank credentials", standin.AgentSets("SecretAccessKey", " \n ")},
		{"grants expired credentials", standin.AgentSets("Expiration", time.Unix(0, 1).UTC().Format(time.RFC3339Nano))},
	}
	for _, code := range []string{"AccessDeniedException", "ResourceNotFoundException", "ExpiredTokenException", "InvalidTokenException", "ThrottlingException", "InvalidParameterException"} {
		all = append(all, failure{"refuses: " + code, standin.AgentRefuses(400, code, "message of EKS")})
	}
	return all
}
