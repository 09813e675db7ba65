//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

func testRestart(t *testing.T) {
	failures, count := load(func() {
		kubectl(t, "", "-n", own, "rollout", "restart", "deployment/"+own)
		kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=120s")
		time.Sleep(8 * time.Second) // the old ones drain
	})
	t.Logf("%d pods, %d failures", count, len(failures))
	if len(failures) > 0 || count < 20 {
		t.Errorf("%d pods, %d failures: %v", count, len(failures), failures)
	}
}

// testKill: the API server notices after a moment; a pod never passes without the sidecar.
func testKill(t *testing.T) {
	for name, kill := range map[string]func(){
		"kill -9": func() { killOne(t) },
		"the pod is gone": func() {
			name := strings.Fields(kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))[0]
			kubectl(t, "", "-n", own, "delete", "pod", name, "--grace-period=0", "--force")
		},
	} {
		failures, count := load(func() {
			kill()
			time.Sleep(3 * time.Second)
			kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=90s")
		})
		for _, f := range failures {
			if !strings.HasPrefix(f.Error(), "500 ") {
				t.Errorf("%s: not a refusal: %v", name, f)
			}
		}
		t.Logf("%s: %d of %d pods refused", name, len(failures), count)
		if len(failures) > count/2 {
			t.Errorf("%s: %d of %d pods refused, with another replica", name, len(failures), count)
		}
		until(t, 20*time.Second, func() error { return hasSidecar(create(labelled)) })
	}
}

// killOne kills a replica's process, which must run on this machine.
func killOne(t *testing.T) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if command, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(command), "/injector\x00serve\x00") {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, func() error {
			if restarts := kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}"); !strings.Contains(restarts, "1") {
				return fmt.Errorf("restarts: %s", restarts)
			}
			return nil
		})
		return
	}
	t.Fatal("no replica runs on this machine")
}

func testSecretDeleted(t *testing.T) {
	const authority = `jsonpath={.data.ca\.crt}`
	before := kubectl(t, "", "-n", own, "get", "secret", own, "-o", authority)
	failures, count := load(func() {
		kubectl(t, "", "-n", own, "delete", "secret", own)
		until(t, 30*time.Second, func() error {
			if got := kubectl(t, "", "-n", own, "get", "secret", own, "--ignore-not-found", "-o", authority); got != before {
				return fmt.Errorf("the authority is %q", got)
			}
			return nil
		})
	})
	if len(failures) > 0 || count < 5 {
		t.Errorf("%d pods, failures %v", count, failures)
	}
}

func testAuthorityRemoved(t *testing.T) {
	kubectl(t, "", "patch", "mutatingwebhookconfiguration", "irsa-sidecar", "--type=json", "-p", `[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`)
	until(t, 30*time.Second, func() error {
		if kubectl(t, "", "get", "mutatingwebhookconfiguration", "irsa-sidecar", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}") == "" {
			return fmt.Errorf("no authority")
		}
		return hasSidecar(create(labelled))
	})
}

func testAway(t *testing.T) {
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=0")
	until(t, 60*time.Second, func() error {
		if _, refusal := create(labelled); !strings.Contains(refusal, "pods.irsa-sidecar.io") {
			return fmt.Errorf("a pod that asks: %q", refusal)
		}
		if _, refusal := create(byAccount); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") {
			return fmt.Errorf("a pod whose account asks: %q", refusal)
		}
		return nil
	})
	checkOthers(t)
}

// checkOthers checks that pods that do not ask are created at once.
func checkOthers(t *testing.T) {
	t.Helper()
	for _, s := range []shapes.Shape{unlabelled, declining} {
		start := time.Now()
		if _, refusal := create(s); refusal != "" || time.Since(start) > time.Second {
			t.Errorf("%s: %q after %s", s.Name, refusal, time.Since(start))
		}
	}
}

// testSilence: somebody listens, and never answers.
func testSilence(t *testing.T) {
	address := os.Getenv("E2E_ADDRESS")
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	patch := fmt.Sprintf(`{"op": "replace", "path": "/webhooks/%%d/clientConfig", "value": {"url": "https://%s/inject"}}`, ln.Addr())
	kubectl(t, "", "patch", "mutatingwebhookconfiguration", "irsa-sidecar", "--type=json", "-p", "["+fmt.Sprintf(patch, 0)+","+fmt.Sprintf(patch, 1)+","+fmt.Sprintf(patch, 2)+"]")
	until(t, 60*time.Second, func() error {
		_, refusal := create(labelled)
		if !strings.Contains(refusal, "pods.irsa-sidecar.io") || !strings.Contains(refusal, ln.Addr().String()) {
			return fmt.Errorf("a pod that asks: %q", refusal)
		}
		return nil
	})
	start := time.Now()
	if _, refusal := create(byAccount); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") {
		t.Errorf("a pod whose account asks: %q", refusal)
	}
	t.Logf("the guard refuses a pod whose account asks after %s", time.Since(start).Round(time.Millisecond))
	checkOthers(t)
}
