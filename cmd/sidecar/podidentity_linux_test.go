package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// newPodWorld returns a world with a token for the EKS Pod Identity agent, and the agent at
// its address, of which the calling test has its own. Sessions are so short that they
// expire within a test; the agent hands out nothing with 15 s left.
func newPodWorld(t *testing.T) *world {
	t.Helper()
	setAddress(t, "lo:1", "169.254.170.23")
	w := &world{sts: standin.NewSTS(issuer()), volume: standin.NewVolume(t.TempDir())}
	w.agent = standin.NewAgent(issuer(), w.sts, role)
	w.agent.SetSessions(20*time.Second, 0)
	w.startAgent(t)
	w.publish(t)
	return w
}

// startAgent starts the agent's server.
func (w *world) startAgent(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "169.254.170.23:80")
	if err != nil {
		t.Fatal(err)
	}
	w.srv = &httptest.Server{Listener: ln, Config: &http.Server{Handler: w.agent}}
	w.srv.Start()
	t.Cleanup(w.srv.Close)
}

// What the webhook sets for an association is enough.
func TestPodIdentity(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newPodWorld(t)
	w.agent.SetSessions(0, 0)
	p := start(t, w.environment("SIDECAR_IMDS_LISTEN=127.0.0.1:0", "AWS_REGION=eu-west-1", "HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1"))
	p.waitForLog(t, "credentials refreshed")
	issued := w.sts.Credentials()[0]
	want := fmt.Sprintf(`{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, issued.AccessKeyID, issued.SecretAccessKey, issued.SessionToken, issued.Expiration.Format(time.RFC3339))
	if status, body := get(t, "http://"+p.endpoint+"/v1/credentials"); status != http.StatusOK || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
	var started struct {
		Source string
		Agent  string
		IMDS   string `json:"imds_listen"`
	}
	line, _, _ := strings.Cut(p.log(), "\n")
	if err := json.Unmarshal([]byte(line), &started); err != nil || started.Source != "pod-identity" || started.Agent != standin.AgentURL {
		t.Errorf("the log begins with %s", line)
	}
	p.waitForLog(t, `"audience":["pods.eks.amazonaws.com"]`)
	p.waitForLog(t, `"node":"ip-10-0-1-23.ec2.internal"`)
	for path, want := range map[string]string{
		"dynamic/instance-identity/document":              `"accountId" : "111122223333"`,
		"meta-data/iam/security-credentials/pod-identity": issued.AccessKeyID,
		"meta-data/placement/region":                      "eu-west-1",
	} {
		if status, body := get(t, "http://"+started.IMDS+"/latest/"+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s, want %s", path, status, body, want)
		}
	}
	if status, output := p.ready(t); status != 0 {
		t.Errorf("sidecar ready: exit status %d: %s", status, output)
	}
	requests := w.agent.Requests()
	if len(requests) != 1 || requests[0].Header.Get("Authorization") != w.tokens[0] {
		t.Errorf("%d requests", len(requests))
	}
}

// Whatever the agent does, credentials are served until they expire, and spoiled answers
// are never served: P1, P2.
func TestFaultAgent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  standin.Fault
		reason string
	}{
		{"refuses", standin.AgentRefuses(403, "AccessDeniedException", "no"), "AccessDeniedException"},
		{"knows no association", standin.AgentRefuses(404, "ResourceNotFoundException", "no"), "ResourceNotFoundException"},
		{"throttles", standin.Answer(429, "text/plain", "Too Many Requests"), "throttled"},
		{"repeats the token", standin.AgentEchoesToken(), "InvalidTokenException"},
		{"resets the connection", standin.Reset(), "network"},
		{"hangs", standin.Hang(), "timeout"},
		{"sends half a body", standin.HalfBody(), "network"},
		{"sends a body without end", standin.HugeBody(200, 100<<20), "invalid_response"},
		{"answers with an HTML page", standin.Answer(200, "text/html", "<html>Please log in</html>"), "invalid_response"},
		{"answers null", standin.Answer(200, "application/json", "null"), "invalid_response"},
		{"redirects", standin.Redirect(307, standin.AgentURL), "invalid_response"},
		{"omits the session token", standin.AgentWithout("Token"), "invalid_response"},
		{"grants expired credentials", standin.AgentSets("Expiration", "2001-01-01T00:00:00.123456789Z"), "invalid_response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outage{
				setup: setup{enter: inNamespaces, world: newPodWorld, reason: tt.reason},
				begin: func(w *world) { w.agent.Always(tt.fault) },
				end:   func(w *world) { w.agent.Always(nil) },
			}.test(t)
		})
	}
}

// A fresh node has no agent yet, and an add-on is updated: the reason names it.
func TestFaultAgentIsGone(t *testing.T) {
	outage{
		setup: setup{enter: inNamespaces, world: newPodWorld, reason: "network"},
		begin: func(w *world) { w.srv.Close() },
		end:   func(w *world) { w.startAgent(t) },
	}.test(t)
}

// Whatever happens to the token, the credentials obtained with it are served: P1.
func TestFaultAgentToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		token  string // what the file holds; "none": there is none
		claims standin.Claims
		reason string
	}{
		{name: "missing", token: "none", reason: "token"},
		{name: "empty", token: " \n", reason: "token"},
		{name: "binary", token: "\x00\xff\xfe.\x00.\x00", reason: "token"},
		{name: "huge", token: strings.Repeat("a", 1<<20), reason: "token"},
		{name: "for STS", claims: standin.Claims{}, reason: "InvalidTokenException"},
		{name: "expired", claims: standin.Claims{Audience: standin.AgentAudience, Lifetime: -time.Minute}, reason: "ExpiredTokenException"},
		{name: "of another service account", claims: standin.Claims{Audience: standin.AgentAudience, ServiceAccount: "other"}, reason: "ResourceNotFoundException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outage{
				setup: setup{enter: inNamespaces, world: newPodWorld, reason: tt.reason},
				begin: func(w *world) {
					token := tt.token
					if token == "" {
						token = issuer().Token(tt.claims)
					}
					err := w.volume.Publish("token", token)
					if token == "none" {
						err = w.volume.PublishAll(nil)
					}
					if err != nil {
						t.Fatal(err)
					}
				},
				end: func(w *world) { w.publish(t) },
			}.test(t)
		})
	}
}

// TestNoSecretLeaksWithPodIdentity plants secrets and reads all output.
func TestNoSecretLeaksWithPodIdentity(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newPodWorld(t)
	w.agent.Next(standin.AgentEchoesToken(), standin.Answer(200, "text/html", w.tokens[0]), nil)
	p := start(t, w.environment("SIDECAR_LOG_LEVEL=debug", "SIDECAR_PATH=/v1/canary-path", "AWS_CONTAINER_AUTHORIZATION_TOKEN=canary-authorization",
		"HTTP_PROXY=http://user:canary-proxy@127.0.0.1:1", "GODEBUG=http2debug=2"))
	p.waitForLog(t, "credentials refreshed")
	var output strings.Builder
	for _, url := range []string{"http://" + p.admin + "/metrics", "http://" + p.admin + "/readyz", "http://" + p.endpoint + "/v1/credentials"} {
		status, body := get(t, url)
		fmt.Fprintln(&output, status, body)
	}
	p.terminate(t)
	wrong := command(t, w.environment("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://canary-user:canary-password@169.254.170.23/canary-uri"))
	status, printed := outcome(wrong)
	if status != 2 || !strings.Contains(printed, "AWS_CONTAINER_CREDENTIALS_FULL_URI") {
		t.Errorf("exit status %d: %s", status, printed)
	}
	w.checkSecrets(t, output.String()+p.log()+printed, w.tokens[0], "canary")
}

// With web identity the session keeps its name at a renewal; with EKS Pod Identity it
// gets another one, which docs/pod-identity.md says.
func TestSessionName(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := start(t, w.environment())
	for deadline := time.Now().Add(time.Minute); len(w.sts.Credentials()) < 3 && time.Now().Before(deadline); time.Sleep(askPeriod) {
	}
	p.terminate(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	issued := w.sts.Credentials()
	if len(issued) < 3 {
		t.Fatalf("%d sessions", len(issued))
	}
	for _, c := range issued {
		if c.SessionARN != issued[0].SessionARN || !strings.HasSuffix(c.SessionARN, "/"+host) {
			t.Errorf("the session %s, first %s, want the name %s", c.SessionARN, issued[0].SessionARN, host)
		}
	}
}
