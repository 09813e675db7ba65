package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

const credentialsURL = "http://127.0.0.1:9911/v1/credentials"

// trial runs one case with one release.
type trial struct {
	job    job
	world  *world
	dir    string
	stderr io.Writer

	ctx     context.Context
	sts     *standin.STS
	source  []string     // where the sidecar takes credentials from, as variables
	address string       // the address that link-local added to the pod
	between net.Listener // what is at that address in place of the sidecar, or nil
	sidecar *harness.Process
	client  *client
	log     *os.File // output of sidecar and client
}

// verdict is an error that ends a case with a verdict other than "ok". It describes
// what the release did. Any other error has the verdict "error" and is printed.
type verdict string

func (v verdict) Error() string { return string(v) }

// try runs a case and returns its verdict: "ok", or what happened instead.
func (t *trial) try(ctx context.Context, c testCase) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit(t.job.Release))
	defer cancel()
	t.ctx, t.sts, t.source = ctx, t.world.reset(), t.world.webIdentity()
	if c.works() {
		if err := t.world.s3.empty(ctx); err != nil {
			return "", err
		}
	}
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return "", err
	}
	if err := t.world.volume.Publish("token", t.world.issuer.Token(standin.Claims{})); err != nil {
		return "", err
	}
	var err error
	if t.log, err = os.Create(filepath.Join(t.dir, "log")); err != nil {
		return "", err
	}
	defer t.log.Close()
	err = c.run(t)
	if err := t.end(); err != nil {
		return "", err
	}
	got := "ok"
	if seen, ok := errors.AsType[verdict](err); ok {
		got = string(seen)
	} else if err != nil {
		got = "error"
	}
	if t.job.Logs || got == "error" {
		log, _ := os.ReadFile(t.log.Name())
		fmt.Fprintf(t.stderr, "%s, %s: %v\n%s\n", t.job.Release, c.name, err, log)
	}
	return got, nil
}

// startSidecar starts the sidecar without waiting for anything.
func (t *trial) startSidecar(environment ...string) error {
	if t.world.isBetween() {
		environment = elsewhere(environment)
	}
	cmd := exec.Command(t.job.Sidecar)
	cmd.Env = slices.Concat(t.source, []string{
		"AWS_REGION=" + region,
		"AWS_CA_BUNDLE=" + t.world.bundle,
		"PATH=" + os.Getenv("PATH"),
	}, environment)
	cmd.Stdout, cmd.Stderr = t.log, t.log
	p, err := harness.Start(cmd)
	t.sidecar = p
	return err
}

// serve starts the sidecar and waits until it serves credentials.
func (t *trial) serve(environment ...string) error {
	if err := t.startSidecar(environment...); err != nil {
		return err
	}
	return t.until(15*time.Second, "the sidecar got no credentials", func() bool {
		return len(t.sts.Credentials()) > 0 && t.answers(credentialsURL)
	})
}

// answers reports whether anything answers at a URL.
func (t *trial) answers(url string) bool {
	_, _, err := harness.Get(t.ctx, url)
	return err == nil
}

// until waits until done returns true, or returns an error with the text problem.
func (t *trial) until(limit time.Duration, problem string, done func() bool) error {
	return harness.Await(t.ctx, 20*time.Millisecond, limit, func(context.Context) error {
		if !done() {
			return errors.New(problem)
		}
		return nil
	})
}

// stopSidecar kills the sidecar, if it is running.
func (t *trial) stopSidecar() {
	if t.sidecar != nil {
		t.sidecar.Kill()
		t.sidecar = nil
	}
}

func (t *trial) end() error {
	if t.client != nil {
		t.client.end()
	}
	t.stopSidecar()
	if t.world.tap != nil {
		t.world.tap.recording.Store(false)
	}
	return t.close()
}

// served returns how many requests the sidecar has answered with credentials.
func (t *trial) served() (int, error) {
	n, err := harness.Metric(t.ctx, "127.0.0.1:9912", `irsa_sidecar_requests_total{code="200"}`)
	return int(n), err
}

// client is a program that uses the SDK. It reads questions, one per line, and writes
// each answer as a line of JSON.
type client struct {
	cmd     *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
}

// answer has either Error or the other fields.
type answer struct {
	ARN    string `json:"arn"`
	Key    string `json:"key"`
	Token  string `json:"token"` // the session token
	Region string `json:"region"`
	Error  string `json:"error"`
}

// start starts a client. Its environment contains only the variables set here.
func (t *trial) start(environment ...string) error {
	cmd := exec.Command("bash", "-euo", "pipefail", filepath.Join(t.job.Driver, "client"))
	cmd.Dir = t.job.Home
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.dir, "LANG=C.UTF-8",
		"DRIVER=" + t.job.Driver, "MARKS=" + strings.Join(t.job.Release.Marks, " "),
		"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_CA_BUNDLE=" + t.world.bundle, "SSL_CERT_FILE=" + t.world.bundle, "NODE_EXTRA_CA_CERTS=" + t.world.bundle,
	}, environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = t.log
	ask, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.client = &client{cmd, ask, bufio.NewReader(answers)}
	if t.world.tap != nil {
		t.world.tap.recording.Store(true)
	}
	var hello answer
	return t.client.question("hello", &hello)
}

func (c *client) question(text string, a *answer) error {
	if _, err := fmt.Fprintln(c.ask, text); err != nil {
		return err
	}
	line, err := c.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the client exited: %w", err)
	}
	return json.Unmarshal(line, a)
}

func (c *client) end() {
	c.ask.Close()
	// The whole process group: some drivers start several processes.
	syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	c.cmd.Wait()
}

// say asks the client a question. An error that the SDK reports is in the answer; say
// does not return it.
func (t *trial) say(question string) (a answer, err error) {
	done := make(chan error, 1)
	go func() { done <- t.client.question(question, &a) }()
	select {
	case err := <-done:
		if errors.Is(err, io.EOF) { // a driver that cannot start has failed already
			return a, verdict("exits")
		}
		if a.Error != "" {
			fmt.Fprintf(t.log, "%s: %s\n", question, a.Error)
		}
		return a, err
	case <-t.ctx.Done():
		return answer{}, verdict("hangs")
	}
}

// key asks the client for the access key ID that it would sign with.
func (t *trial) key() (string, error) {
	a, err := t.say("key")
	switch {
	case err != nil:
		return "", err
	case a.Error != "":
		return "", verdict("fails")
	case a.Key == "":
		return "", verdict("treats the error as credentials")
	case a.Key == nodeKey:
		return "", verdict("the node's role")
	}
	return a.Key, nil
}

// roleOf returns the role that an access key ID belongs to.
func (t *trial) roleOf(key string) string {
	for _, c := range t.sts.Credentials() {
		if c.AccessKeyID == key {
			_, role, _ := strings.Cut(c.SessionARN, "assumed-role/")
			role, _, _ = strings.Cut(role, "/")
			return role
		}
	}
	return "unknown"
}
