//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"irsa-sidecar/test/standin"
)

// Pods with the service accounts, labels and annotations of the worked examples get the role: at
// the instance metadata endpoint for Harbor, whose registry asks nowhere else.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		example, file                string
		account, labels, annotations string // patterns of lines in the file, with the part that the pod gets
		args                         string
	}{
		{
			example: "harbor", file: "values.yaml",
			account: `(?m)^  serviceAccountName: (\S+)`, labels: `(?m)^  podLabels: \{(.*)\}`, annotations: `(?m)^  podAnnotations: \{(.*)\}`,
			args: "-without, AWS_CONTAINER_CREDENTIALS_FULL_URI, -every, 1s",
		},
		{
			example: "spark", file: "spark-defaults.conf",
			account: `(?m)^spark.kubernetes.authenticate.driver.serviceAccountName +(\S+)`, labels: `(?m)^spark.kubernetes.executor.label.(\S+ +\S+)`,
			args: "-every, 1s",
		},
	} {
		t.Run(tt.example, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, "inject", "guard", privileged)
			dir := filepath.Join(shared.deploy, "examples", tt.example)
			b, err := os.ReadFile(filepath.Join(dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			find := func(pattern string) string {
				match := regexp.MustCompile(pattern).FindStringSubmatch(string(b))
				if match == nil {
					t.Fatalf("%s has no %s", tt.file, pattern)
				}
				return match[1]
			}
			account, labels, annotations := find(tt.account), find(tt.labels), ""
			if tt.annotations != "" {
				annotations = find(tt.annotations)
			}
			if name, value, ok := strings.Cut(labels, " "); ok && !strings.HasSuffix(name, ":") { // of a properties file
				labels = fmt.Sprintf("%s: %q", name, strings.TrimSpace(value))
			}
			n.sts.AddRole(standin.Role{ARN: n.role, Namespace: n.name, ServiceAccount: account})
			manifests, err := os.ReadFile(filepath.Join(dir, "service-account.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			n.apply(strings.Replace(string(manifests), "arn:aws:iam::111122223333:role/example", n.role, 1))
			n.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: example}
spec:
  selector: {matchLabels: {app: example}}
  template:
    metadata: {labels: {app: example, %s}, annotations: {%s}}
    spec: {serviceAccountName: %s, terminationGracePeriodSeconds: 1, containers: [{name: app, image: %q, args: [%s, %q]}]}
`, labels, annotations, account, shared.appImage, tt.args, n.url))
			n.awaitIdentity(n.awaitRunning("app=example").Metadata.Name)
		})
	}
}
