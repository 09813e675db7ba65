//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// suite is shared by all tests. It does not change while they run.
type suite struct {
	image, appImage string
	api             string   // the API server's URL for plain HTTP
	address         string   // this machine's address for pods
	rotate          []string // a command; may be empty
	deploy          string   // a copy of the directory deploy, adapted to this cluster
	issuer          string
	policies        string // the kinds of admission policies that the cluster has
}

var shared suite

// ours labels every object that the tests create.
const ours = "irsa-sidecar-e2e"

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	status, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		status = 1
	}
	os.Exit(status)
}

func run(ctx context.Context, m *testing.M) (status int, err error) {
	dir, err := os.MkdirTemp("", ours+"-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := shared.init(ctx, dir); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	// On a signal, clean the cluster up before exiting.
	stop := context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "e2e: interrupted; clean-up:", cleanUp())
		os.Exit(1)
	})
	defer stop()
	if err := shared.install(ctx); err != nil {
		return 1, err
	}
	url, stopProxy, err := proxyAPI(ctx)
	if err != nil {
		return 1, err
	}
	defer stopProxy()
	shared.api = url
	return m.Run(), nil
}

func (s *suite) init(ctx context.Context, dir string) (err error) {
	s.image, s.appImage = os.Getenv("E2E_IMAGE"), os.Getenv("E2E_APP_IMAGE")
	s.address, s.rotate = os.Getenv("E2E_ADDRESS"), strings.Fields(os.Getenv("E2E_ROTATE"))
	if s.image == "" || s.appImage == "" {
		return errors.New("E2E_IMAGE and E2E_APP_IMAGE must name images: see test/e2e/run")
	}
	if s.address == "" {
		if s.address, err = addressTowardsAPIServer(ctx); err != nil {
			return err
		}
	}
	var document struct{ Issuer string }
	if err := kubectlJSON(ctx, &document, "get", "--raw", "/.well-known/openid-configuration"); err != nil {
		return err
	}
	s.issuer = document.Issuer
	var group struct{ Resources []struct{ Name string } }
	if err := kubectlJSON(ctx, &group, "get", "--raw", "/apis/admissionregistration.k8s.io/v1"); err != nil {
		return err
	}
	for _, r := range group.Resources {
		if strings.Contains(r.Name, "admissionpolic") && !strings.Contains(r.Name, "/") {
			s.policies += r.Name + ","
		}
	}
	s.deploy = filepath.Join(dir, "deploy")
	return os.CopyFS(s.deploy, os.DirFS(filepath.Join("..", "..", "deploy")))
}

// addressTowardsAPIServer returns the source address of this machine's packets to the API
// server.
func addressTowardsAPIServer(ctx context.Context) (string, error) {
	server, err := kubectl(ctx, "", "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), port)) // sends nothing
	if err != nil {
		return "", err
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// install configures deploy/inject and deploy/guard as documented, limits them to the
// tests' namespaces, and applies them.
func (s *suite) install(ctx context.Context) error {
	// An earlier run may have been killed.
	if err := cleanUp(); err != nil {
		return err
	}
	names, err := kubectl(ctx, "", "get", strings.TrimSuffix(s.policies, ","), "-o", "name")
	if err != nil {
		return err
	}
	if strings.Contains(names, "/irsa-sidecar") {
		return fmt.Errorf("this cluster already has policies of irsa-sidecar, which the tests would replace:\n%s", names)
	}
	// The address of STS differs between namespaces, so the ConfigMap cannot set it. It is for
	// web identity.
	err = replaceOnce(filepath.Join(s.deploy, "inject", "policy.yaml"),
		"          // end of web-identity\n",
		"          // end of web-identity\n"+
			`          {"name": "AWS_ENDPOINT_URL_STS", "value": namespaceObject.metadata.annotations["`+ours+`/sts"]},`+"\n")
	if err != nil {
		return err
	}
	for part, source := range map[string]string{
		"inject": fmt.Sprintf("configMapGenerator: [{name: irsa-sidecar, literals: [%q, region=eu-west-1]}]\ncomponents: [../../inject]", "image="+s.image),
		// In one cluster there is one. The tests have another that uses the node's region.
		"inject-node": fmt.Sprintf("namePrefix: node-\nconfigMapGenerator: [{name: irsa-sidecar, literals: [%q, region=]}]\ncomponents: [../../inject]", "image="+s.image),
		"guard":       "resources: [../../guard]",
	} {
		if part != "guard" && !s.injects() {
			continue
		}
		// The documented way to limit both to some namespaces.
		err := applyKustomization(ctx, "", filepath.Join(s.deploy, ours, part), fmt.Sprintf(`
%[3]s
labels: [{pairs: {%[2]s: "true"}}]
patches:
  - target: {kind: MutatingAdmissionPolicy|ValidatingAdmissionPolicy}
    patch: |
      - op: replace
        path: /spec/matchConstraints/namespaceSelector
        value: {matchLabels: {%[2]s/%[1]s: "true"}}
`, part, ours, source), nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// injects reports whether the cluster can have deploy/inject: from Kubernetes 1.36 on.
func (s *suite) injects() bool { return strings.Contains(s.policies, "mutatingadmissionpolicies,") }

// replaceOnce replaces a text that must occur exactly once in a file.
func replaceOnce(file, old, new string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(b), old); n != 1 {
		return fmt.Errorf("%s contains %q %d times, want once", file, old, n)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(b), old, new, 1)), 0o644)
}

// cleanUp deletes everything that the tests have created, and waits until it is gone.
func cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	_, err := kubectl(ctx, "", "delete", "--ignore-not-found", "--wait", "-l", ours,
		shared.policies+"namespaces,customresourcedefinitions")
	return err
}
