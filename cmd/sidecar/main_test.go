package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/test/standin"
)

func TestAnSDKGetsTheRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, port, _ := net.SplitHostPort(p.door)
		sdk := endpointcreds.New("http://" + net.JoinHostPort(host, port) + "/v1/credentials")
		got, err := sdk.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := w.sts.Credentials()[0]
		if got.AccessKeyID != want.AccessKeyID || got.SecretAccessKey != want.SecretAccessKey || got.SessionToken != want.SessionToken ||
			!got.Expires.Equal(want.Expiration) || got.AccountID != "111122223333" {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if status, output := p.ready(t); status != 0 || output != "" {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
	for path, want := range map[string]string{"/readyz": "ok\n", "/healthz": "ok\n", "/metrics": "irsa_sidecar_requests_total{code=\"200\"} 3\n"} {
		if status, body := get(t, "http://"+p.admin+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s answers %d:\n%s", path, status, body)
		}
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if n := len(w.sts.Requests()); n != 1 {
		t.Errorf("%d calls to STS, want 1", n)
	}
}

// P6: nobody outside the pod can so much as connect.
func TestListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	p := start(t, newWorld(t).environment())
	_, port, err := net.SplitHostPort(p.door)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.2"} // stands for all others where a machine has none
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip := address.(*net.IPNet).IP; !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.String())
		}
	}
	for _, host := range hosts {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, %v", host, conn, err)
		}
	}
}

func TestPlainHTTPIsWarnedOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint string
		want     bool
	}{
		{endpoint: "http://sts.example", want: true},
		{endpoint: "http://192.0.2.1:8080", want: true},
		{endpoint: "https://sts.example"},
		{endpoint: "http://localhost:8080"},
		{endpoint: "http://127.0.0.1:8080"},
		{endpoint: "http://[::1]:8080"},
	}
	for _, tt := range tests {
		t.Run(tt.endpoint, func(t *testing.T) {
			t.Parallel()
			p := start(t, newWorld(t).environment("AWS_ENDPOINT_URL_STS="+tt.endpoint)) // and no token to send
			p.waitForLog(t, "refresh failed")
			if got := strings.Contains(p.log.String(), `"msg":"STS is called without TLS"`); got != tt.want {
				t.Errorf("warned: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWaitsForTheTokenAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"token"`)
	if status, output := p.ready(t); status != 1 || !strings.HasPrefix(output, "token: token file "+w.volume.Path("token")+" does not exist") || strings.Count(output, "\n") != 1 {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
	if status, body := get(t, "http://"+p.admin+"/readyz"); status != 503 || body != "not ready: token\n" {
		t.Errorf("/readyz answers %d %q", status, body)
	}
	if status, _ := get(t, "http://"+p.admin+"/healthz"); status != 200 {
		t.Errorf("/healthz answers %d", status)
	}
	if n := len(w.sts.Requests()); n != 0 {
		t.Errorf("%d calls to STS without a token", n)
	}
	w.publish(t)
	p.waitForLog(t, "credentials refreshed")
	if status, output := p.ready(t); status != 0 {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
}

// A probe waits for what is on its way, so that it need not come often.
func TestReadyWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"token"`)
	asked := time.Now()
	if status, output := p.ready(t, "--wait=500ms"); status != 1 || !strings.HasPrefix(output, "token: ") || strings.Count(output, "\n") != 1 {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
	if waited := time.Since(asked); waited < 500*time.Millisecond {
		t.Errorf("it waited for %v", waited)
	}
	published := time.AfterFunc(time.Second, func() { w.publish(t) })
	defer published.Stop()
	if status, output := p.ready(t, "--wait=20s"); status != 0 || output != "" {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
}

func TestSaysWhySTSRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sts.Always(standin.Refuse(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"))
	w.publish(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"AccessDenied"`)
	const want = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity (HTTP 403 from http://127.0.0.1:"
	if status, output := p.ready(t); status != 1 || !strings.HasPrefix(output, want) || strings.Count(output, "\n") != 1 {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
	_, err := endpointcreds.New("http://"+p.door+"/v1/credentials", func(o *endpointcreds.Options) { o.Retryer = nil }).Retrieve(t.Context())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an SDK says %v", err)
	}
	if _, body := get(t, "http://"+p.admin+"/metrics"); !strings.Contains(body, `irsa_sidecar_refresh_failing{code="AccessDenied"} 1`) {
		t.Errorf("the metrics do not say why:\n%s", body)
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestInFlightIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sts.Always(standin.Hang())
	w.publish(t)
	p := start(t, w.environment())
	conn, err := net.Dial("tcp", p.door)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Both in one segment: once the first is answered, the second is in hand.
	io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answers := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(answers, &http.Request{Method: "HEAD"}); err != nil || resp.StatusCode != 404 {
		t.Fatalf("got %v, %v", resp, err)
	}
	time.Sleep(100 * time.Millisecond) // on a busy machine it may not quite be
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	answer, err := io.ReadAll(answers)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 503 ")) || !bytes.HasSuffix(answer, []byte("}")) {
		t.Errorf("in flight was %q, %v", answer, err)
	}
}

func TestConfigurationErrorsAreToldTogether(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--bogus", "--duration=1s", "--region", "x y", "what"}, {"ready", "--bogus", "what", "--duration=1s", "--region", "x y", "what"}} {
		cmd := command(t, nil, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("exit status: %v", err)
		}
		for _, want := range []string{"unknown flag --bogus", `"what"`, "--duration", "--region", "--role-arn", "--token-file"} {
			if !bytes.Contains(out, []byte(want)) {
				t.Errorf("%q lacks %q", out, want)
			}
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"--help": config.Usage(), "-h": config.Usage(), "--version": readBuild().String() + "\n"} {
		cmd := command(t, nil, "--bogus", arg) // whatever else is wrong
		out, err := cmd.Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: %v, %q", arg, err, out)
		}
	}
}

func TestAPortInUse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, taken, setting string }{
		{"of the container credentials endpoint", "127.0.0.1:0", "SIDECAR_LISTEN=127.0.0.1:"},
		{"of the container credentials endpoint, on IPv6", "[::1]:0", "SIDECAR_LISTEN=127.0.0.1:"},
		{"of the admin listener", "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN=127.0.0.1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			taken, err := net.Listen("tcp", tt.taken)
			if strings.HasPrefix(tt.taken, "[::1]") && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				t.Skipf("this machine has no IPv6 loopback: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			_, port, _ := net.SplitHostPort(taken.Addr().String())
			cmd := command(t, newWorld(t).environment(tt.setting+port))
			out, _ := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "address already in use: the port is already in use in this pod") {
				t.Errorf("exit status %d, %s", cmd.ProcessState.ExitCode(), out)
			}
		})
	}
}

func TestNothingAnswersReady(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for url, want := range map[string]string{
		other.URL:  "another process than the sidecar answers on ",
		closed.URL: "the sidecar does not answer: dial tcp ",
	} {
		cmd := command(t, newWorld(t).environment("SIDECAR_PATH=/hunter2", "SIDECAR_LISTEN="+strings.TrimPrefix(url, "http://")), "ready")
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), want) || strings.Contains(string(out), "hunter2") {
			t.Errorf("exit status %d, %q", cmd.ProcessState.ExitCode(), out)
		}
	}
}

// What a probe cannot print is not for the termination log, which is the sidecar's.
func TestReadyThatCannotPrintIsNotReady(t *testing.T) {
	environment := map[string]string{}
	for _, e := range newWorld(t).environment("SIDECAR_LISTEN=127.0.0.1:1") {
		name, value, _ := strings.Cut(e, "=")
		environment[name] = value
	}
	_, closed := io.Pipe()
	closed.Close()
	err := run(t.Context(), []string{"ready"}, func(name string) string { return environment[name] }, closed, newLogWriter(io.Discard))
	if !errors.Is(err, notReadyError{}) {
		t.Errorf("got %v", err)
	}
}

// TestNoSecretComesOut plants secrets everywhere and reads everything.
func TestNoSecretComesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.publish(t)
	w.sts.Next(standin.EchoToken(), nil)
	environment := w.environment("SIDECAR_LOG_LEVEL=debug", "SIDECAR_PATH=/v1/canary-path", "SIDECAR_AUTHORIZATION_TOKEN=canary-authorization",
		"HTTPS_PROXY=http://user:canary-proxy@127.0.0.1:1")
	p := start(t, environment)
	p.waitForLog(t, "credentials refreshed")
	var everything strings.Builder
	for _, url := range []string{"http://" + p.admin + "/metrics", "http://" + p.admin + "/readyz", "http://" + p.door + "/v1/credentials", "http://" + p.door + "/v1/canary-path"} {
		status, body := get(t, url)
		fmt.Fprintln(&everything, status, body)
	}
	if status, output := p.ready(t); status != 0 {
		t.Errorf("sidecar ready exits with %d and says %q", status, output)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	p.terminate(t)
	fmt.Fprintf(&everything, "%s\n%s", cmdline, p.log)
	secrets := append(strings.Split(token, "."), "canary-path", "canary-authorization", "canary-proxy")
	for _, c := range w.sts.Credentials() {
		secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	}
	if len(secrets) < 9 {
		t.Fatalf("only %d secrets", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(everything.String(), secret) {
			t.Errorf("%q came out:\n%s", secret, everything.String())
		}
	}
}

func TestExit(t *testing.T) {
	two := &config.Error{Problems: []string{"--role-arn: one", "--listen: two"}, Hints: []string{"three"}}
	const twoText = "sidecar: invalid configuration (2 problems):\n  --role-arn: one\n  --listen: two\n  hint: three\n"
	tests := []struct {
		name        string
		err         error
		status      int
		stderr      string
		termination string
	}{
		{name: "SIGTERM", status: 0, termination: "before"},
		{name: "SIGTERM without credentials", err: &noCredentialsError{errors.New("AccessDenied: no")}, status: 0,
			termination: "sidecar: exited without credentials: AccessDenied: no\n"},
		{name: "configuration", err: two, status: 2, stderr: twoText, termination: twoText},
		{name: "configuration of a probe", err: &config.Error{Command: config.Ready, Problems: []string{"one"}}, status: 2,
			stderr: "sidecar: invalid configuration (1 problem):\n  one\n", termination: "before"},
		{name: "not ready", err: notReadyError{}, status: 1, termination: "before"},
		{name: "anything else", err: errors.New("port in use"), status: 1, stderr: "sidecar: port in use\n", termination: "sidecar: port in use\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "termination-log")
			if err := os.WriteFile(log, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			if status := exit(tt.err, &stderr, log); status != tt.status || stderr.String() != tt.stderr {
				t.Errorf("got status %d and %q", status, stderr.String())
			}
			if got, err := os.ReadFile(log); err != nil || string(got) != tt.termination {
				t.Errorf("termination log: %q, %v", got, err)
			}
			os.Remove(log)
			exit(tt.err, io.Discard, log)
			if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the termination log was created: %v", err)
			}
		})
	}
}

func TestExitWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	w.sts.Always(standin.Refuse(403, "AccessDenied", "no"))
	w.publish(t)
	environment := map[string]string{}
	for _, e := range w.environment() {
		name, value, _ := strings.Cut(e, "=")
		environment[name] = value
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := new(lockedBuffer)
	ended := make(chan error)
	go func() {
		ended <- run(ctx, nil, func(name string) string { return environment[name] }, io.Discard, newLogWriter(log))
	}()
	for !strings.Contains(log.String(), "AccessDenied") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err, ok := errors.AsType[*noCredentialsError](<-ended); !ok || !strings.HasPrefix(err.reason.Error(), "AccessDenied: no") {
		t.Errorf("got %v", err)
	}
}
