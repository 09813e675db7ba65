//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// With allowed users the application gets its credentials at every endpoint. A neighbour
// with another user id gets none at any of them, nor does another pod through a proxy that
// has a user id of its own, as a mesh's does. An exec of the sidecar's command works.
func TestAllowedUsers(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	other := func(name, relay string, uid int) string {
		return fmt.Sprintf(`
        - name: %s
          image: %q
          command: [/probe, -relay, %q, "127.0.0.1:9911"]
          securityContext: %s`, name, shared.appImage, relay, strings.Replace(restricted, "1000", fmt.Sprint(uid), 1))
	}
	deployment := n.deployment(strings.Replace(withEndpoints, "annotations: {", `annotations: {irsa-sidecar/allowed-uids: "1000", `, 1))
	n.apply(n.serviceAccount() + strings.TrimRight(deployment, "\n") + other("neighbour", ":8001", 1001) + other("proxy", ":15006", 1337))
	p := n.awaitRunning("app=example")
	pod := p.Metadata.Name
	n.awaitIdentity(pod)
	n.checkEndpoints(pod)
	urls := []string{
		"http://127.0.0.1:9911/v1/credentials",
		"http://" + ecsAddress + "/v1/credentials",
		"http://" + metadataAddress + "/latest/meta-data/iam/security-credentials/" + n.name,
	}
	for _, url := range urls {
		for container, want := range map[string]string{"app": "200 ", "neighbour": "403 ", "proxy": "403 "} {
			got, err := n.tryKubectl("", "exec", pod, "-c", container, "--", "/probe", url)
			if err != nil || !strings.HasPrefix(got, want) || want == "403 " && !strings.Contains(got, "UserNotAllowed") {
				t.Errorf("%s in container %s: got %.200s, %v, want %s", url, container, got, err, want)
				continue
			}
			t.Logf("proved: %s in container %s is answered with %s", url, container, want)
		}
	}
	for _, port := range []string{"8001", "15006"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Status.PodIP+":"+port+"/v1/credentials", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "127.0.0.1"
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "UserNotAllowed") {
			t.Errorf("through the proxy at port %s: got %d %s, %v", port, resp.StatusCode, body, err)
		}
	}
	t.Log("proved: a proxy with its own user id does not relay credentials")
	if out, err := n.tryKubectl("", "exec", pod, "-c", "irsa-sidecar", "--", "/sidecar", "ready"); err != nil {
		t.Errorf("ready: %s, %v", out, err)
	}
}
