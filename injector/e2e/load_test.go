//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// load creates pods that ask while f runs. It returns those that were refused, or passed
// without the sidecar.
func load(f func()) (failures []error, count int) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			count++
			if err := hasSidecar(create(labelled)); err != nil {
				failures = append(failures, err)
			}
		}
	}()
	func() {
		defer func() {
			close(stop)
			<-done
		}()
		f()
	}()
	return failures, count
}

func hasSidecar(pod map[string]any, refusal string) error {
	if refusal != "" {
		return fmt.Errorf("%s", refusal)
	}
	b, err := json.Marshal(pod)
	if err == nil && !strings.Contains(string(b), `"irsa-sidecar-token"`) {
		return fmt.Errorf("the pod has no sidecar")
	}
	return err
}

// metric returns the sum of a metric over the replicas.
func metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	for address := range strings.FieldsSeq(kubectl(t, "", "-n", own, "get", "pods", "-o", "jsonpath={.items[*].status.podIP}")) {
		response, err := http.Get("http://" + net.JoinHostPort(address, "9440") + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var b strings.Builder
		if err := response.Write(&b); err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)`).FindStringSubmatch(b.String())
		if match == nil {
			t.Fatalf("no metric %s", name)
		}
		value, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}

func logMetrics(t *testing.T) {
	requests := metric(t, "irsa_sidecar_injector_request_duration_seconds_count")
	t.Logf("%v requests, %.1f ms each; memory of both replicas %.0f MiB", requests,
		1000*metric(t, "irsa_sidecar_injector_request_duration_seconds_sum")/max(requests, 1), metric(t, "process_resident_memory_bytes")/(1<<20))
}

// logState logs what helps to explain a failure.
func logState(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, args := range []string{"get pods -o wide", "get events", "logs -l app.kubernetes.io/name=" + own + " --prefix --tail=20"} {
		out, err := exec.Command("kubectl", append([]string{"-n", own}, strings.Fields(args)...)...).CombinedOutput()
		t.Logf("%s: %v\n%s", args, err, out)
	}
}
