//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// sidecarCheck runs sidecar check in the pod's container irsa-sidecar, and returns what it
// prints, also if it fails.
func (n *namespace) sidecarCheck(pod string) (output string, err error) {
	return n.tryKubectl("", "exec", pod, "-c", "irsa-sidecar", "--", "/sidecar", "check")
}

// checkIsHealthy checks that sidecar check has nothing to say about a healthy pod, and that
// one of its lines begins with want.
func (n *namespace) checkIsHealthy(pod, want string) {
	n.Helper()
	out, err := n.sidecarCheck(pod)
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "skip "):
		case !strings.HasPrefix(line, "      ") && !strings.HasPrefix(line, "sidecar check "):
			n.Errorf("sidecar check: %s", line)
		}
	}
	if err != nil || !strings.Contains(out, "ok    settings    valid\n") || !strings.Contains(out, "\n"+want) {
		n.Errorf("sidecar check: %v\n%s", err, out)
		return
	}
	n.Logf("proved: sidecar check of a healthy pod prints only ok and skip:\n%s", out)
}

// What is broken is named by the first line that fails.
func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, patch string
		trust       bool
		first       string // failure
		says        string
	}{
		{name: "trust policy", first: "STS AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", says: `:sub": "system:serviceaccount:NAMESPACE:example"`},
		{name: "audience", trust: true, patch: `
      - {op: replace, path: /spec/template/spec/volumes/0/projected/sources/0/serviceAccountToken/audience, value: sts.example.com}`,
			first: "STS InvalidIdentityToken: Incorrect token audience", says: "add-client-id-to-open-id-connect-provider"},
		{name: "subPath", trust: true, patch: `
      - {op: add, path: /spec/template/spec/initContainers/0/volumeMounts/0/subPath, value: token}
      - {op: replace, path: /spec/template/spec/initContainers/0/volumeMounts/0/mountPath, value: /var/run/secrets/irsa-sidecar/token}`,
			first: "token file /var/run/secrets/irsa-sidecar/token is mounted by itself, as subPath does"},
		{name: "flags", trust: true, patch: `
      - {op: add, path: /spec/template/spec/initContainers/0/args, value: [--region=eu-west-1, --duration=4h]}`,
			first: "STS ValidationError: The requested DurationSeconds exceeds", says: "with the flags of process 1: --duration, --region"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t)
			if tt.trust {
				n.trust()
			}
			patch := ""
			if tt.patch != "" {
				patch = "\n  - target: {kind: Deployment}\n    patch: |" + tt.patch + "\n"
			}
			n.applyDeploy(n.overlay("without-webhook", fmt.Sprintf("-every, 1s, %q", n.url))+patch, nil)
			p := n.awaitPod("app=example", time.Minute, func(*pod) error { return nil })
			var out string
			until(t, time.Minute, func() (err error) {
				if out, err = n.sidecarCheck(p.Metadata.Name); !strings.Contains(out+fmt.Sprint(err), "FAIL") {
					return fmt.Errorf("nothing has failed: %w: %s", errors.Join(err), out)
				}
				return nil
			})
			all := strings.Join(strings.Fields(out), " ")
			_, first, _ := strings.Cut(all, "FAIL ")
			if !strings.HasPrefix(first, tt.first) || !strings.Contains(all, strings.ReplaceAll(tt.says, "NAMESPACE", n.name)) {
				t.Errorf("the first failure is %.80s, want %s … %s\n%s", first, tt.first, tt.says, out)
			}
			t.Logf("proved: sidecar check says %s", tt.first)
		})
	}
}
