//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// When the sidecar cannot get credentials, kubectl describe pod shows the reason, and so
// does the first warning with a code in the sidecar's log.
func TestDescribeShowsReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		setUp    func(*namespace)
		describe string // regular expression for the output of kubectl describe pod
		code     string // regular expression for the code of the first warning
	}{
		{
			name: "STS denies",
			setUp: func(n *namespace) {
				n.apply(n.serviceAccount() + n.deployment(injected))
			},
			describe: "Startup probe failed: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
			code:     "AccessDenied",
		},
		{
			name: "wrong audience",
			setUp: func(n *namespace) {
				n.trust()
				n.applyDeploy(n.overlay("without-webhook", fmt.Sprintf("-every, 1s, %q", n.url))+`
  - target: {kind: Deployment}
    patch: |
      - {op: replace, path: /spec/template/spec/volumes/0/projected/sources/0/serviceAccountToken/audience, value: sts.example.com}
`, nil)
			},
			describe: "Startup probe failed: InvalidIdentityToken: Incorrect token audience",
			code:     "InvalidIdentityToken",
		},
		{
			name: "no network",
			setUp: func(n *namespace) {
				n.kubectl("annotate", "--overwrite", "namespace", n.name, ours+"/sts=http://sts.invalid")
				n.apply(n.serviceAccount() + n.deployment(injected))
			},
			describe: "Startup probe failed: (network: cannot reach|timeout: timed out after 10s [A-Za-z ]+) http://sts.invalid",
			code:     "network|timeout", // depends on DNS
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, "inject", "guard")
			tt.setUp(n)
			t.Logf("proved: kubectl describe pod says: %s", n.awaitDescription(tt.describe))
			p := n.awaitPod("app=example", 10*time.Second, func(*pod) error { return nil })
			code, line := n.firstWarning(p.Metadata.Name)
			if !regexp.MustCompile("^(" + tt.code + ")$").MatchString(code) {
				t.Errorf("the first warning has code %q, want %q: %s", code, tt.code, line)
			}
			t.Logf("proved: the first warning in the log is: %s", line)
		})
	}
}

// When the sidecar exits at start, its termination message says why.
func TestTerminationMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pod, describe string
	}{
		{
			name:     "no role and no guard",
			describe: `Message: +sidecar: invalid configuration \(1 problem\):\s+--role-arn \(AWS_ROLE_ARN\): is required`,
		},
		{
			name: "two sidecars",
			pod: fmt.Sprintf(`
  initContainers:
    - name: credentials
      image: %q
      restartPolicy: Always
      env: [{name: AWS_ROLE_ARN, value: "arn:aws:iam::111122223333:role/x"}, {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /none}, {name: AWS_REGION, value: eu-west-1}]
      securityContext: %s`, shared.image, strings.Replace(restricted, "1000", "9911", 1)),
			describe: `Message: +sidecar: --listen \(SIDECAR_LISTEN\): listen tcp.* address already in use: the port is already in use in this pod`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, "inject")
			n.trust()
			account := "default"
			if tt.pod != "" {
				account = "example"
				n.apply(n.serviceAccount())
			}
			n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {app: example, irsa-sidecar/inject: "true"}}
spec:
  serviceAccountName: %s%s
  containers:
    - {name: app, image: %q, args: [-every, 1s, %q], env: [{name: AWS_REGION, value: eu-west-1}], securityContext: %s}
`, account, tt.pod, shared.appImage, n.url, restricted))
			t.Logf("proved: kubectl describe pod says: %s", n.awaitDescription(tt.describe))
		})
	}
}

// awaitDescription waits until kubectl describe prints what matches want, and returns the
// lines of the match.
func (n *namespace) awaitDescription(want string) (lines string) {
	n.Helper()
	rule := regexp.MustCompile(".*(" + want + ").*")
	until(n.TB, 90*time.Second, func() error {
		match := rule.FindString(n.kubectl("describe", "pods", "-l", "app=example"))
		if match == "" {
			return fmt.Errorf("kubectl describe pod prints nothing that matches %s", want)
		}
		lines = strings.Join(strings.Fields(match), " ")
		return nil
	})
	return lines
}

// firstWarning returns the first line of the sidecar's log with a code and at least level
// warning, and its code.
func (n *namespace) firstWarning(pod string) (code, line string) {
	n.Helper()
	for line := range strings.Lines(n.kubectl("logs", pod, "-c", "irsa-sidecar")) {
		var entry struct{ Level, Code string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			n.Fatalf("%v: %q", err, line)
		}
		if entry.Code != "" && (entry.Level == "WARN" || entry.Level == "ERROR") {
			return entry.Code, strings.TrimSpace(line)
		}
	}
	n.Fatal("no warning with a code in the log")
	return "", ""
}
