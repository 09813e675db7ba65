//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// A copy by kubectl debug has a sidecar of its own, although it has no labels: with them the
// ReplicaSet would take it for one of its pods. One without init containers is refused.
func TestDebugCopies(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(injected))
	pod := n.awaitRunning("app=example").Metadata.Name
	debug := func(copy string, flags ...string) (string, error) {
		args := append([]string{"debug", pod, "--profile=general", "--container=app", "--copy-to=" + copy}, flags...)
		return n.tryKubectl("", append(args, "--", "/client", "-every", "1s", n.url)...)
	}
	if _, err := debug("copy", "--keep-annotations"); err != nil {
		t.Fatal(err)
	}
	n.awaitIdentity("copy")
	_, err := debug("without-sidecar", "--keep-labels", "--keep-init-containers=false")
	if refusal := refusal(err); !strings.Contains(refusal, "but no sidecar") {
		t.Errorf("a copy without init containers: %v, want a refusal", err)
	}
}
