//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kubectl runs kubectl with stdin and returns its output. An error contains its stderr.
func kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), &kubectlError{args: args, err: err, stderr: strings.TrimSpace(stderr.String())}
	}
	return string(out), nil
}

type kubectlError struct {
	args   []string
	err    error
	stderr string
}

func (e *kubectlError) Error() string {
	return fmt.Sprintf("kubectl %s: %v: %s", strings.Join(e.args, " "), e.err, e.stderr)
}

func kubectlJSON(ctx context.Context, v any, args ...string) error {
	out, err := kubectl(ctx, "", args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), v)
}

// applyKustomization writes a kustomization and other files into the directory dir and
// applies it.
func applyKustomization(ctx context.Context, namespace, dir, kustomization string, files map[string]string) error {
	err := writeFile(filepath.Join(dir, "kustomization.yaml"), kustomization)
	for name, text := range files {
		err = errors.Join(err, writeFile(filepath.Join(dir, name), text))
	}
	if err != nil {
		return err
	}
	args := []string{"apply", "-k", dir}
	if namespace != "" {
		args = append(args, "-n", namespace)
	}
	_, err = kubectl(ctx, "", args...)
	return err
}

func writeFile(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// until calls check up to twice a second until it returns nil. After limit it fails the
// test with check's last error.
func until(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("after %s: %v", limit, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// pod has the fields of a Pod that the tests use.
type pod struct {
	Metadata struct {
		Name              string
		UID               string
		Labels            map[string]string
		Annotations       map[string]string
		DeletionTimestamp *time.Time
	}
	Spec   map[string]any
	Status struct {
		Phase                 string
		PodIP                 string
		InitContainerStatuses []containerStatus
		ContainerStatuses     []containerStatus
	}
}

type containerStatus struct {
	Name         string
	Ready        bool
	RestartCount int
	State        struct {
		Waiting    *struct{ Reason string }
		Running    *struct{ StartedAt time.Time }
		Terminated *termination
	}
	LastState struct{ Terminated *termination }
}

type termination struct {
	ExitCode   int
	Reason     string
	Message    string
	FinishedAt time.Time
}

// container returns the status of a container or init container.
func (p *pod) container(name string) containerStatus {
	for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		if c.Name == name {
			return c
		}
	}
	return containerStatus{}
}

// imageName and imageTag split NAME:TAG.
func imageName(image string) string { return image[:strings.LastIndex(image, ":")] }
func imageTag(image string) string  { return image[strings.LastIndex(image, ":")+1:] }
