//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
)

// proxyAPI starts kubectl proxy, which reaches the API server with any kubeconfig, and
// returns its URL. A request through it takes milliseconds; starting kubectl for each
// takes a second on a busy machine. stop ends it.
func proxyAPI(ctx context.Context) (url string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, "kubectl", "proxy", "--port=0")
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() {
		cancel()
		command.Wait()
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "Starting to serve on ")
	if !ok {
		stop()
		return "", nil, fmt.Errorf("kubectl proxy printed %q: %w", line, err)
	}
	return "http://" + address, stop, nil
}

// answer is what the API server answers to a request.
type answer struct {
	object   string // JSON
	warnings []string
}

// refusedError is a refusal by the API server.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// refusal returns why the API server refused a request.
func refusal(err error) string {
	if e, ok := errors.AsType[*refusedError](err); ok {
		return e.message
	}
	if e, ok := errors.AsType[*kubectlError](err); ok {
		return e.stderr
	}
	return ""
}

var (
	kindOf    = regexp.MustCompile(`(?m)^kind: (\w+)$`)
	versionOf = regexp.MustCompile(`(?m)^apiVersion: (\S+)$`)
	warning   = regexp.MustCompile(`^299 \S+ "(.*)"$`)
)

// dryRun returns the object that the API server would create from a manifest.
func (n *namespace) dryRun(manifest string) (answer, error) {
	return n.post("?dryRun=All&fieldValidation=Strict", manifest)
}

// post sends a manifest of one namespaced object to the API server.
func (n *namespace) post(parameters, manifest string) (answer, error) {
	kind, version := kindOf.FindStringSubmatch(manifest), versionOf.FindStringSubmatch(manifest)
	if kind == nil || version == nil {
		return answer{}, fmt.Errorf("no kind or version in %s", manifest)
	}
	root := "/apis/"
	if version[1] == "v1" {
		root = "/api/"
	}
	url := shared.api + root + version[1] + "/namespaces/" + n.name + "/" + strings.ToLower(kind[1]) + "s" + parameters
	request, err := http.NewRequestWithContext(n.Context(), http.MethodPost, url, strings.NewReader(manifest))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/yaml")
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if response.StatusCode != http.StatusCreated {
		var status struct{ Message string }
		if err := json.Unmarshal(body, &status); err != nil {
			return answer{}, fmt.Errorf("%s: %q", response.Status, body)
		}
		return answer{}, &refusedError{status.Message}
	}
	a := answer{object: string(body)}
	for _, w := range response.Header.Values("Warning") {
		if match := warning.FindStringSubmatch(w); match != nil {
			a.warnings = append(a.warnings, match[1])
		}
	}
	return a, nil
}
