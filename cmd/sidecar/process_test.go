package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const role = "arn:aws:iam::111122223333:role/app"

// issuer signs the tokens. Its key is made when it is first used: a process that is
// the sidecar needs none.
var issuer = sync.OnceValue(func() *standin.Issuer { return standin.NewIssuer("https://issuer.example") })

// TestMain lets the test binary be the sidecar, so that tests run the real
// thing as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SIDECAR") != "" {
		main()
	}
	// Most tests wait for time to pass. The command line, read later, wins.
	if err := flag.Set("test.parallel", "20"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// world is what a sidecar needs from outside.
type world struct {
	sts    *standin.STS
	srv    *httptest.Server
	volume *standin.Volume
	tokens []string // all that were published
}

// newWorld returns an STS that knows role, and a volume in which the token is
// not yet published.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{sts: standin.NewSTS(issuer()), volume: standin.NewVolume(t.TempDir())}
	w.sts.AddRole(standin.Role{ARN: role})
	w.srv = httptest.NewServer(w.sts)
	t.Cleanup(w.srv.Close)
	return w
}

func (w *world) publish(t testing.TB) (token string) {
	t.Helper()
	token = issuer().Token(standin.Claims{})
	if err := w.volume.Publish("token", token); err != nil {
		t.Fatal(err)
	}
	w.tokens = append(w.tokens, token)
	return token
}

// environment returns what the sidecar is given, and more settings.
func (w *world) environment(more ...string) []string {
	return append([]string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + w.volume.Path("token"),
		"AWS_REGION=eu-west-1",
		"AWS_ENDPOINT_URL_STS=" + w.srv.URL,
		"SIDECAR_LISTEN=127.0.0.1:0",
		"SIDECAR_ADMIN_LISTEN=127.0.0.1:0",
	}, more...)
}

// process is a sidecar that runs as a process of its own.
type process struct {
	cmd         *exec.Cmd
	log         fmt.Stringer // what it wrote to stdout and stderr
	door, admin string       // addresses
	environment []string
	ended       chan struct{}
	waited      error // once ended is closed
}

// longestTest bounds what tests start: what should have ended must not outlive
// its test.
const longestTest = 4 * time.Minute

// command returns the sidecar as a command, which is killed when longestTest is
// over.
func command(t testing.TB, environment []string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), longestTest)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// The race detector would have a process sleep for a second at its end.
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

// launch starts a sidecar. What it writes is the log of the process, unless
// cmd has another place for it.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	log := new(lockedBuffer)
	p := &process{cmd: cmd, log: log, environment: cmd.Env, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.waited = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", p.log)
		}
	})
	return p
}

// waitUntilItListens waits for the line of the log that says where.
func (p *process) waitUntilItListens(t *testing.T) {
	t.Helper()
	p.waitForLog(t, "sidecar started")
	var line string
	for line = range strings.Lines(p.log.String()) {
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
	p.door, p.admin = started.Listen, started.Admin
}

// waitForLog waits until the log holds text.
func (p *process) waitForLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.log.String(), text); time.Sleep(time.Millisecond) {
		select {
		case <-p.ended:
			t.Fatalf("the sidecar has ended: %v", p.waited)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q", text)
		}
	}
}

// ready runs sidecar ready with the environment of p.
func (p *process) ready(t *testing.T, flags ...string) (status int, output string) {
	cmd := command(t, append(p.environment, "SIDECAR_LISTEN="+p.door), append([]string{"ready"}, flags...)...)
	out, _ := cmd.CombinedOutput() // the status says the same
	return cmd.ProcessState.ExitCode(), string(out)
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
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

// terminate ends the sidecar as the kubelet does, and returns its exit status.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the sidecar does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// lockedBuffer is a buffer that may be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
