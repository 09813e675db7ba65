package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
)

// request is one for credentials, as raw HTTP.
const request = "GET /v1/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n"

// TestMain runs the test binary as the sidecar if BE_THE_SIDECAR is set, so that tests
// run the real program in its own process, and as its clients if BE_A_CLIENT or BE_HOSTILE is.
func TestMain(m *testing.M) {
	if addresses, ok := os.LookupEnv("BE_HOSTILE"); ok {
		beHostile(addresses)
	}
	if spec, ok := os.LookupEnv("BE_A_CLIENT"); ok {
		beAClient(spec)
	}
	if os.Getenv("BE_THE_SIDECAR") != "" {
		main()
	}
	// Most tests spend their time waiting. A flag on the command line is parsed later
	// and takes precedence.
	if err := flag.Set("test.parallel", "20"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// buildSidecar builds the sidecar as in the image.
func buildSidecar(t testing.TB) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "sidecar")
	if err := harness.BuildForImage(t.Context(), binary, "cmd/sidecar"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// process is a sidecar in its own process.
type process struct {
	*harness.Process
	log             func() string // its stdout and stderr
	endpoint, admin string        // addresses
	environment     []string
}

// longestTest bounds the life of every process, so that none outlives its test for long.
const longestTest = 4 * time.Minute

// command returns a command that runs the sidecar. After longestTest it is killed.
func command(t testing.TB, environment []string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), longestTest)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// By default the race detector delays the exit of a process by a second.
	cmd.Env = append([]string{"BE_THE_SIDECAR=1", "GORACE=atexit_sleep_ms=0"}, environment...)
	return cmd
}

// start starts a sidecar and waits until it listens.
func start(t *testing.T, environment []string) *process {
	t.Helper()
	p := launch(t, command(t, environment))
	p.waitUntilItListens(t)
	return p
}

// launch starts a sidecar. Its output goes to the log of the process, unless cmd
// already has a stderr.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	running, err := harness.Start(cmd)
	return launched(t, cmd, running, err)
}

// launched returns the process of a command that was started.
func launched(t *testing.T, cmd *exec.Cmd, running *harness.Process, err error) *process {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Process: running, log: running.Log, environment: cmd.Env}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", p.log())
		}
	})
	return p
}

// waitUntilItListens waits for the log line that has the addresses.
func (p *process) waitUntilItListens(t *testing.T) {
	t.Helper()
	p.waitForLog(t, "sidecar started")
	var line string
	for line = range strings.Lines(p.log()) {
		if strings.Contains(line, "sidecar started") {
			break
		}
	}
	var started struct {
		Listen string `json:"listen"`
		Admin  string `json:"admin_listen"`
	}
	if err := json.Unmarshal([]byte(line), &started); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	p.endpoint, p.admin = started.Listen, started.Admin
}

// waitForPorts waits until the process listens. It is for processes whose log cannot be
// read, and which have fixed ports.
func (p *process) waitForPorts(t *testing.T, endpoint, admin string) {
	t.Helper()
	p.endpoint, p.admin = endpoint, admin
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", admin) // the sidecar opens this one last
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// waitForLog waits until the log contains text.
func (p *process) waitForLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.log(), text); time.Sleep(time.Millisecond) {
		select {
		case <-p.Exited():
			t.Fatalf("the sidecar exited before it logged %q: %v", text, p.State())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not contain %q", text)
		}
	}
}

// ready runs sidecar ready with the environment of p.
func (p *process) ready(t *testing.T, flags ...string) (status int, output string) {
	return outcome(command(t, append(p.environment, "SIDECAR_LISTEN="+p.endpoint), append([]string{"ready"}, flags...)...))
}

// outcome runs a command and returns its exit status and output.
func outcome(cmd *exec.Cmd) (status int, output string) {
	out, _ := cmd.CombinedOutput() // the status has the error
	return cmd.ProcessState.ExitCode(), string(out)
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// do sends a request and returns the answer.
func do(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// fetch returns the answer from a URL, or the error as text.
func fetch(c *http.Client, url string) string {
	resp, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// terminate sends SIGTERM, as the kubelet does, and returns the exit status.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-time.After(20 * time.Second):
		t.Fatal("the sidecar does not exit")
	}
	return p.State().ExitCode()
}

// askWith requests credentials with an authorization token and returns the status.
func (p *process) askWith(t *testing.T, token string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+p.endpoint+"/v1/credentials", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", token)
	status, _ := do(t, r)
	return status
}
