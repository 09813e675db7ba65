// Latency measures what deploy/inject and deploy/guard add to the creation of a pod in a
// namespace with many service accounts: for a pod that did not ask for the sidecar, and
// for each way to ask for it.
//
//	go run ./test/e2e/latency [-accounts N] [-pods N] [-rounds N]
//
// It changes the cluster that KUBECONFIG names: it applies deploy/examples/inject, creates a namespace
// and pods that no node can run, and deletes all of it. An API server alone is enough.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	name = "irsa-sidecar-latency" // of the namespace
	role = "arn:aws:iam::111122223333:role/example"
)

func main() {
	accounts := flag.Int("accounts", 2000, "service accounts in the namespace")
	pods := flag.Int("pods", 100, "pods of each case and round")
	rounds := flag.Int("rounds", 3, "how often to measure with and without policies")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *accounts, *pods, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// A measurement is one row of the result: pods of one kind.
type measurement struct {
	name     string
	policies bool
	account  string
	labels   string // of the pods
	sidecar  bool   // whether they must get it
	times    []time.Duration
}

func measurements() []*measurement {
	const label = `{irsa-sidecar/inject: "true"}`
	return []*measurement{
		{name: "without policies", account: "plain", labels: "{}"},
		{name: "not asking", policies: true, account: "plain", labels: "{}"},
		{name: "service account's label", policies: true, account: "asking", labels: "{}", sidecar: true},
		{name: "pod's label", policies: true, account: "plain", labels: label, sidecar: true},
	}
}

func run(ctx context.Context, accounts, pods, rounds int) (err error) {
	if os.Getenv("KUBECONFIG") == "" {
		return errors.New("KUBECONFIG is not set: this changes a cluster, so name it explicitly")
	}
	api, err := connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, removePolicies(ctx), kubectl(ctx, "delete", "namespace", name, "--wait=false"))
	}()
	if err := createNamespace(ctx, api, accounts); err != nil {
		return err
	}
	all := measurements()
	for range rounds {
		for _, policies := range []bool{false, true} {
			if err := setPolicies(ctx, api, policies); err != nil {
				return err
			}
			for _, m := range all {
				if m.policies != policies {
					continue
				}
				if err := m.measure(ctx, api, pods); err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
			}
		}
	}
	print(all, accounts, pods*rounds)
	return nil
}

func createNamespace(ctx context.Context, api *client, accounts int) error {
	err := api.post(ctx, "/api/v1/namespaces", "{apiVersion: v1, kind: Namespace, metadata: {name: "+name+"}}", nil)
	if err != nil {
		return err
	}
	names := make(chan string)
	var workers sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		workers.Go(func() {
			for account := range names {
				label := ""
				if account == "asking" {
					label = `, labels: {irsa-sidecar/inject: "true"}`
				}
				errs[i] = errors.Join(errs[i], api.post(ctx, "/api/v1/namespaces/"+name+"/serviceaccounts", fmt.Sprintf(
					"{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, annotations: {eks.amazonaws.com/role-arn: %q}%s}}", account, role, label), nil))
			}
		})
	}
	names <- "plain"
	names <- "asking"
	for i := range accounts - 2 {
		names <- fmt.Sprintf("account-%d", i)
	}
	close(names)
	workers.Wait()
	return errors.Join(errs...)
}

// setPolicies applies the policies, or removes them, and waits until pods show it.
func setPolicies(ctx context.Context, api *client, applied bool) error {
	var err error
	if !applied {
		err = removePolicies(ctx)
	} else {
		err = kubectl(ctx, "apply", "-k", "deploy/examples/inject")
	}
	if err != nil {
		return err
	}
	// A policy and its bindings come into force within seconds, not all at once.
	deadline := time.Now().Add(time.Minute)
	for seen := 0; seen < 5; {
		if time.Now().After(deadline) {
			return fmt.Errorf("policies applied: %t, but not in force after a minute", applied)
		}
		if applied == inForce(ctx, api) {
			seen++
		} else {
			seen = 0
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// inForce reports whether inject and guard decide about pods.
func inForce(ctx context.Context, api *client) bool {
	var injected string
	bySidecar := api.post(ctx, podsURL+"?dryRun=All", pod("asking", "{}"), &injected)
	byGuard := api.post(ctx, podsURL+"?dryRun=All", pod("plain", "{irsa-sidecar/inject: probe}"), nil)
	return bySidecar == nil && strings.Contains(injected, sidecar) && byGuard != nil && strings.Contains(byGuard.Error(), "irsa-sidecar/inject")
}

func removePolicies(ctx context.Context) error {
	return kubectl(ctx, "delete", "-k", "deploy/examples/inject", "--ignore-not-found")
}

const (
	podsURL = "/api/v1/namespaces/" + name + "/pods"
	sidecar = `"name":"irsa-sidecar"`
)

func pod(account, labels string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {generateName: pod-, labels: %s}
spec:
  serviceAccountName: %s
  nodeSelector: {%s: nowhere}
  containers: [{name: app, image: none, env: [{name: AWS_REGION, value: eu-west-1}]}]
`, labels, account, name)
}

// measure creates pods, one after the other, and deletes them.
func (m *measurement) measure(ctx context.Context, api *client, pods int) error {
	for i := range pods + 5 {
		var created string
		start := time.Now()
		if err := api.post(ctx, podsURL, pod(m.account, m.labels), &created); err != nil {
			return err
		}
		if i >= 5 { // the first ones open the connection and fill caches
			m.times = append(m.times, time.Since(start))
		}
		if has := strings.Contains(created, sidecar); has != m.sidecar {
			return fmt.Errorf("the pod has a sidecar: %t, want %t", has, m.sidecar)
		}
	}
	return api.send(ctx, "DELETE", podsURL+"?gracePeriodSeconds=0", "", nil)
}

func print(all []*measurement, accounts, pods int) {
	fmt.Printf("Creating a pod in a namespace with %d service accounts; %d pods each:\n\n", accounts, pods)
	fmt.Printf("| the pod | median (ms) | 90 %% below (ms) | ratio | more (ms) |\n|---|---|---|---|---|\n")
	base := quantile(all[0].times, 0.5)
	for _, m := range all {
		median := quantile(m.times, 0.5)
		fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", m.name, ms(median), ms(quantile(m.times, 0.9)), float64(median)/float64(base), ms(median-base))
	}
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(q*float64(len(sorted)-1))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func kubectl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "kubectl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
