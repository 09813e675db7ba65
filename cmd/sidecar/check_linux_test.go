package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/test/standin"
)

// newCheckWorld returns a world with a token, whose issuer cannot be reached.
func newCheckWorld(t *testing.T) *world {
	t.Helper()
	unreachable := standin.NewIssuer("https://127.0.0.1:1")
	w := &world{sts: standin.NewSTS(unreachable), volume: standin.NewVolume(t.TempDir())}
	w.sts.AddRole(standin.Role{ARN: role})
	w.srv = httptest.NewServer(w.sts)
	t.Cleanup(w.srv.Close)
	w.hold(t, unreachable.Token(standin.Claims{}))
	return w
}

// hold publishes a token.
func (w *world) hold(t *testing.T, token string) {
	t.Helper()
	if err := w.volume.Publish("token", token); err != nil {
		t.Fatal(err)
	}
	w.tokens = append(w.tokens, token)
}

// firstFailure returns the first line of an output that failed, and those that belong to it,
// without the line breaks.
func firstFailure(output string) (failure string) {
	for line := range strings.Lines(output) {
		switch {
		case failure == "" && strings.HasPrefix(line, "FAIL"):
			failure = strings.TrimPrefix(line, "FAIL  ")
		case failure != "" && strings.HasPrefix(line, "     "):
			failure += line
		case failure != "":
			return strings.Join(strings.Fields(failure), " ")
		}
	}
	return strings.Join(strings.Fields(failure), " ")
}

// withEndpoints returns an environment with every endpoint at its usual address.
func (w *world) withEndpoints(t *testing.T, settings ...string) []string {
	t.Helper()
	setAddress(t, "lo:1", "169.254.170.2")
	setAddress(t, "lo:2", "169.254.169.254")
	return w.environment(append(settings, "SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ECS_LISTEN=169.254.170.2:80", "SIDECAR_IMDS_LISTEN=169.254.169.254:80")...)
}

// A healthy set-up has nothing but ok and skip, also beside a sidecar that serves at every
// endpoint.
func TestCheckHealthy(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newCheckWorld(t)
	environment := w.withEndpoints(t, "SIDECAR_PATH=/v1/canary-path", "SIDECAR_AUTHORIZATION_TOKEN=canary-authorization", "SIDECAR_DURATION=45m")
	p := start(t, environment)
	p.waitForLog(t, "credentials refreshed")
	before := len(w.sts.Requests())
	status, output := outcome(command(t, environment, "check"))
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "skip ") && !strings.HasPrefix(line, "      ") && !strings.HasPrefix(line, "sidecar check calls AssumeRoleWithWebIdentity at most twice") {
			t.Errorf("%s", line)
		}
	}
	if status != 0 || strings.Count(output, "serves credentials") != 3 || !strings.Contains(output, "is in this pod") || strings.Contains(output, "\x1b") {
		t.Errorf("exit status %d:\n%s", status, output)
	}
	if requests := w.sts.Requests()[before:]; len(requests) != 1 || requests[0].Form.Get("DurationSeconds") != "2700" {
		t.Errorf("%d calls", len(requests))
	}
	w.checkSecrets(t, output, w.tokens[0], "canary")
	status, object := outcome(command(t, environment, "check", "--output=json"))
	var answer struct {
		Calls  string
		Steps  []struct{ Step, Status, Text string }
		Failed *bool
	}
	if err := json.Unmarshal([]byte(object), &answer); err != nil || status != 0 || len(answer.Steps) != 13 || answer.Calls == "" || answer.Failed == nil || *answer.Failed {
		t.Errorf("exit status %d, %v:\n%s", status, err, object)
	}
	w.checkSecrets(t, object, w.tokens[0], "canary")
}

// Without credentials every endpoint of the sidecar says why.
func TestCheckWithoutCredentials(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newCheckWorld(t)
	w.sts.Always(standin.Refuse(403, "AccessDenied", "Not authorized"))
	environment := w.withEndpoints(t)
	start(t, environment).waitForLog(t, "refresh failed")
	_, output := outcome(command(t, environment, "check"))
	for _, address := range []string{"127.0.0.1:9911", "169.254.170.2:80", "169.254.169.254:80"} {
		if want := "FAIL  endpoints   " + address + ": AccessDenied: Not authorized"; !strings.Contains(output, want) {
			t.Errorf("want %q in\n%s", want, output)
		}
	}
}

// Each broken set-up is named in the first line that fails, and nothing that is printed has
// a secret.
func TestCheckBroken(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	bind(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions attempts:1 timeout:30\n")
	silent := serveDNS(t)
	for _, tt := range append(append(brokenTokens(), brokenAnswers()...), brokenWays(silent)...) {
		t.Run(tt.name, func(t *testing.T) {
			w := newCheckWorld(t)
			if tt.prepare != nil {
				tt.prepare(t, w)
			}
			environment := w.environment("SIDECAR_LISTEN=127.0.0.1:1", "SIDECAR_PATH=/v1/canary-path", "SIDECAR_AUTHORIZATION_TOKEN=canary-authorization")
			if tt.environment != nil {
				environment = append(environment, tt.environment(t, w)...)
			}
			begin := time.Now()
			status, output := outcome(command(t, environment, append([]string{"check"}, tt.args...)...))
			if got := firstFailure(output); status != max(tt.status, 1) || !strings.HasPrefix(got, tt.want) || !strings.Contains(strings.Join(strings.Fields(output), " "), tt.says) {
				t.Errorf("exit status %d, %s\nwant %s … %s\n%s", status, got, tt.want, tt.says, output)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if strings.Contains(output, "goroutine") {
				t.Error("it panics")
			}
			if n := len(w.sts.Requests()); n > 2 {
				t.Errorf("%d calls", n)
			}
			secrets := []string{"canary"}
			for _, token := range w.tokens {
				secrets = append(secrets, token[strings.LastIndex(token, ".")+1:])
			}
			for _, c := range w.sts.Credentials() {
				secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
			}
			for _, secret := range secrets {
				if strings.Contains(output, secret) {
					t.Errorf("%q leaked:\n%s", secret, output)
				}
			}
			checkColumns(t, output)
		})
	}
}

// checkColumns checks that lines fit, what is to be pasted aside.
func checkColumns(t *testing.T, output string) {
	t.Helper()
	for line := range strings.Lines(output) {
		isPasted := strings.HasPrefix(line, "aws ") || strings.ContainsAny(line[:1], "{} ") && strings.Contains(line, `"`) && !strings.HasPrefix(line, strings.Repeat(" ", 18))
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 100 && !isPasted {
			t.Errorf("too long: %s", line)
		}
	}
}

// SIGTERM ends it at once, whatever it waits for.
func TestCheckEndsAtOnce(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newCheckWorld(t)
	w.sts.Always(standin.Hang())
	p := launch(t, command(t, w.environment(), "check"))
	p.waitForLog(t, "ok    network")
	for deadline := time.Now().Add(20 * time.Second); len(w.sts.Requests()) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	begin := time.Now()
	if status := p.terminate(t); status != 1 || time.Since(begin) > 3*time.Second || !strings.Contains(p.log(), "skip  STS         interrupted") {
		t.Errorf("exit status %d after %v:\n%s", status, time.Since(begin), p.log())
	}
}

// On a laptop a relative path is as good as an absolute one.
func TestCheckOffline(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newCheckWorld(t)
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "copied"), []byte(w.tokens[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, nil, "check", "--offline", "--token-file=copied", "--role-arn", role, "--region=eu-west-1")
	cmd.Dir = directory
	status, output := outcome(cmd)
	if status != 0 || !strings.Contains(output, `"Effect": "Allow"`) || !strings.HasPrefix(output, "sidecar check makes no calls.\n") || len(w.sts.Requests()) != 0 {
		t.Errorf("exit status %d:\n%s", status, output)
	}
	// What is no file may be a secret.
	cmd = command(t, nil, "check", "--offline", "--token-file="+w.tokens[0], "--role-arn", role, "--region=eu-west-1")
	status, output = outcome(cmd)
	if status != 2 || !strings.Contains(output, "--token-file (AWS_WEB_IDENTITY_TOKEN_FILE): must be the absolute path of a file") || strings.Contains(output, w.tokens[0]) {
		t.Errorf("exit status %d:\n%s", status, output)
	}
}

// With EKS Pod Identity it asks the agent.
func TestCheckPodIdentity(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	w := newPodWorld(t)
	w.agent.SetSessions(0, 0)
	environment := w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_PATH=/v1/canary-path")
	p := start(t, environment)
	p.waitForLog(t, "credentials refreshed")
	status, output := outcome(command(t, environment, "check"))
	if status != 0 || strings.Contains(output, "warn") || !strings.Contains(output, "ok    agent       the EKS Pod Identity agent granted credentials until ") || !strings.HasPrefix(output, "sidecar check asks the EKS Pod Identity agent for credentials once") {
		t.Errorf("exit status %d:\n%s", status, output)
	}
	w.checkSecrets(t, output, w.tokens[0], "canary")
	broken := func(want string) {
		t.Helper()
		if status, output := outcome(command(t, environment, "check")); status != 1 || !strings.HasPrefix(firstFailure(output), want) {
			t.Errorf("exit status %d, %s, want %s", status, firstFailure(output), want)
		} else {
			w.checkSecrets(t, output, w.tokens[0], "canary")
		}
	}
	w.agent.Next(standin.AgentRefuses(404, "ResourceNotFoundException", "no"))
	broken("agent ResourceNotFoundException: the agent answered HTTP 404 ResourceNotFoundException - create an association")
	w.srv.Close()
	broken("agent network: cannot reach the agent: connection refused - is the eks-pod-identity-agent add-on running")
	if err := w.volume.Publish("token", issuer().Token(standin.Claims{})); err != nil {
		t.Fatal(err)
	}
	broken("claims the token is for sts.amazonaws.com, and the EKS Pod Identity agent accepts only pods.eks.amazonaws.com")
}

// kubectl exec does not see the flags of the container: they are those of process 1.
func TestServeArguments(t *testing.T) {
	words := func(words ...string) []byte { return []byte(strings.Join(words, "\x00") + "\x00") }
	for _, other := range [][]byte{nil, words("/pause"), words("/sidecar", "ready"), words("/sidecar", "link-local"), words("/sidecar", "--bogus"), words("/app", "--region=eu-west-1")} {
		if arguments, ok := serveArguments(other); ok {
			t.Errorf("%q is taken for a sidecar that serves: %v", other, arguments)
		}
	}
	serving, ok := serveArguments(words("/sidecar", "--region=eu-west-1", "--duration", "2h"))
	if !ok {
		t.Fatal("a sidecar that serves is not found")
	}
	both, taken := config.ParseArguments([]string{"check", "--duration=1h", "--offline"}).Beside(serving)
	if strings.Join(taken, " ") != "region" || both.Command != config.Check || !both.Offline {
		t.Errorf("took %q: %+v", taken, both)
	}
	cfg, err := config.Load(both, getenv([]string{"AWS_ROLE_ARN=" + role, "AWS_WEB_IDENTITY_TOKEN_FILE=/token"}), nil)
	if err != nil || cfg.STS.Region != "eu-west-1" || cfg.Duration != time.Hour {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

// The namespace's first process is a sidecar that was configured by flags.
func TestCheckBesideFlags(t *testing.T) {
	arguments, seen := withServeFlags(config.ParseArguments([]string{"check"}), t.TempDir())
	if !strings.Contains(seen, "repeat them after check") {
		t.Errorf("got %q, %v", seen, arguments)
	}
	proc := t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(proc, "1/cmdline"), "/sidecar\x00--region=eu-west-1\x00--role-arn=x\x00")
	if _, seen = withServeFlags(config.ParseArguments([]string{"check"}), proc); seen != "with the flags of process 1: --region, --role-arn" {
		t.Errorf("got %q", seen)
	}
	if _, seen = withServeFlags(config.ParseArguments([]string{"check", "--offline"}), proc); seen != "" {
		t.Errorf("got %q", seen)
	}
}
