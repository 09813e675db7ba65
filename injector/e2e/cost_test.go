//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

const accounts = 3000

// testCost logs what an admission and a replica cost, with few service accounts and with many,
// beside pods that the injector is not asked about. Times are not compared
// with a limit: machines differ.
func testCost(t *testing.T) {
	logCost(t, "few accounts")
	createAccounts(t)
	until(t, 30*time.Second, func() error {
		if n := metric(t, "irsa_sidecar_injector_service_accounts"); n < 2*accounts {
			return fmt.Errorf("%.0f accounts", n/2)
		}
		return nil
	})
	logCost(t, "3,000 accounts")
	kubectl(t, "", "delete", "namespace", "many", "--wait=false")
}

func logCost(t *testing.T, what string) {
	const sum, count = "irsa_sidecar_injector_request_duration_seconds_sum", "irsa_sidecar_injector_request_duration_seconds_count"
	within := `irsa_sidecar_injector_request_duration_seconds_bucket{le="0.005"}`
	memory := metric(t, "process_resident_memory_bytes") / 2 / (1 << 20)
	s, n, w := metric(t, sum), metric(t, count), metric(t, within)
	bare, with := median(t, declining), median(t, labelled)
	requests := metric(t, count) - n
	fast := (metric(t, within) - w) / requests
	t.Logf("%s: a pod takes %s with the sidecar, %s without (medians); the injector takes %.1f ms of it (mean), %.0f %% at most 5 ms; a replica has %.0f MiB, %.0f after %.0f requests",
		what, with, bare, 1000*(metric(t, sum)-s)/requests, 100*fast, memory, metric(t, "process_resident_memory_bytes")/2/(1<<20), requests)
	if requests < 200 || memory > 60 {
		t.Errorf("%.0f requests, %.0f MiB", requests, memory)
	}
}

// median returns how long it takes to create a pod.
func median(t *testing.T, s shapes.Shape) time.Duration {
	t.Helper()
	var times []time.Duration
	for range 200 {
		start := time.Now()
		if _, refusal := create(s); refusal != "" {
			t.Fatal(refusal)
		}
		times = append(times, time.Since(start))
	}
	slices.SortFunc(times, cmp.Compare[time.Duration])
	return times[len(times)/2].Round(100 * time.Microsecond)
}

func createAccounts(t *testing.T) {
	t.Helper()
	kubectl(t, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: many}}", "apply", "-f", "-")
	var group sync.WaitGroup
	for worker := range 6 {
		group.Go(func() {
			for i := worker; i < accounts; i += 6 {
				body := fmt.Sprintf(`{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "account-%d", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/example-%d"}}}`, i, i)
				response, err := http.Post(api+"/api/v1/namespaces/many/serviceaccounts", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					t.Errorf("status %d", response.StatusCode)
					return
				}
			}
		})
	}
	group.Wait()
}
