package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"irsa-sidecar/injector/certificate"
	"irsa-sidecar/injector/cluster"
	"irsa-sidecar/injector/webhook"
)

func TestRenderCommand(t *testing.T) {
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/source: pod-identity}}, spec: {containers: [{name: app}]}}`
	for _, tt := range []struct {
		name    string
		args    []string
		in      string
		out, is string // parts of the output and of the error
	}{
		{"a pod", []string{"render", "--policy=../deploy/inject", "--image=example.com/a:v1", "--region=eu-west-1"}, pod, `"image": "example.com/a:v1"`, ""},
		{"the node's region", []string{"render", "--policy=../deploy/inject", "--image=a", "--region="}, pod, "topology.kubernetes.io/region", ""},
		{"no image", []string{"render", "--policy=../deploy/inject", "--region=eu-west-1"}, pod, "", "no image is set"},
		{"no policy", []string{"render", "--policy=/nowhere"}, pod, "", "/nowhere/policy.yaml"},
		{"a half", []string{"render", "--policy=../deploy/inject", "--image=a", "--region=b"}, "a: 1\n---\na: [", "", "document 2"},
		{"an unknown flag", []string{"render", "--images=a"}, "", "", "-images"},
		{"a file name", []string{"render", "in.yaml"}, "", "", `unknown argument "in.yaml"`},
		{"an unknown command", []string{"inject"}, "", "", `unknown command "inject"`},
		{"no command", nil, "", "", "no command"},
		{"the version", []string{"--version"}, "", "injector unknown (commit unknown, go1.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), tt.args, strings.NewReader(tt.in), &out, io.Discard)
			if !strings.Contains(out.String(), tt.out) || (tt.out == "") != (out.Len() == 0) {
				t.Errorf("output %q", out.String())
			}
			if tt.is == "" && err != nil || tt.is != "" && (err == nil || !strings.Contains(err.Error(), tt.is)) {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, args := range [][]string{{"--help"}, {"render", "--help"}, {"serve", "-h"}} {
		if err := run(t.Context(), args, nil, nil, nil); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Not ready without a certificate and accounts, or while draining; always alive.
func TestAdmin(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	source, objects := certificate.NewFiles(t.TempDir(), log), cluster.NewObjects(nil, log)
	var draining atomic.Bool
	handler := adminHandler(registry(source, objects), source, objects, &draining)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "tls.crt") || !strings.Contains(body, "have not been read yet") {
		t.Errorf("%d %s", code, body)
	}
	draining.Store(true)
	if code, body := get("/readyz"); code != 503 || body != "shutting down\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("/healthz answers %d", code)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "irsa_sidecar_injector_certificate_expiration_timestamp_seconds 0") {
		t.Errorf("%d %s", code, body)
	}
}

// Every metric is documented and exists, and so does every one that an alert uses.
func TestMetricsAreDocumented(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	reg := registry(certificate.NewFiles(t.TempDir(), log), cluster.NewObjects(nil, log))
	webhook.NewMetrics(reg)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string]bool{}
	manual, alerts := read(t, "../docs/injector.md"), read(t, "../deploy/injector/monitoring/alerts.yaml")
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "irsa_") {
			exposed[name] = true
			if !regexp.MustCompile("(?m)^\\| `" + name + "[`{]").MatchString(manual) {
				t.Errorf("docs/injector.md does not explain %s", name)
			}
		}
	}
	if len(exposed) != 4 {
		t.Errorf("%d metrics", len(exposed))
	}
	for _, name := range regexp.MustCompile(`irsa_sidecar_injector_[a-z_]+`).FindAllString(manual+alerts, -1) {
		if !exposed[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("no metric %s", name)
		}
	}
	for _, match := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(alerts, -1) {
		if !strings.Contains(manual, "\n### "+match[1]+"\n") || !strings.Contains(alerts, "docs/injector.md#"+strings.ToLower(match[1])+"\n") {
			t.Errorf("no runbook entry for %s", match[1])
		}
	}
}

// What the webhooks' configuration must be so that others do not depend on it, and so that it
// comes before that of EKS.
func TestConfiguration(t *testing.T) {
	var c admissionv1.MutatingWebhookConfiguration
	if err := yaml.UnmarshalStrict([]byte(read(t, "../deploy/injector/webhooks.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	if c.Name != "irsa-sidecar" || c.Name >= "pod-identity-webhook" || len(c.Webhooks) != 3 {
		t.Errorf("%s has %d webhooks", c.Name, len(c.Webhooks))
	}
	var p admissionv1.MutatingAdmissionPolicy
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/inject/policy.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	condition := regexp.MustCompile(`\s`).ReplaceAllString(p.Spec.MatchConditions[1].Expression, "")
	for i, w := range c.Webhooks {
		mustFail := i == 0
		if (*w.FailurePolicy == admissionv1.Fail) != mustFail || *w.TimeoutSeconds > 5 || !mustFail && *w.TimeoutSeconds > 2 {
			t.Errorf("%s: failurePolicy %s, timeoutSeconds %d", w.Name, *w.FailurePolicy, *w.TimeoutSeconds)
		}
		if len(w.ClientConfig.CABundle) > 0 || len(w.ObjectSelector.MatchLabels)+len(w.ObjectSelector.MatchExpressions) == 0 {
			t.Errorf("%s: %+v, %+v", w.Name, w.ClientConfig, w.ObjectSelector)
		}
		if mustFail != (len(w.NamespaceSelector.MatchLabels) == 0) {
			t.Errorf("%s: namespaceSelector %v", w.Name, w.NamespaceSelector)
		}
		if len(w.MatchConditions) != 1 || regexp.MustCompile(`\s`).ReplaceAllString(w.MatchConditions[0].Expression, "") != condition {
			t.Errorf("%s: the condition is not that of the policy: %v", w.Name, w.MatchConditions)
		}
		for _, field := range []any{w.MatchPolicy, w.ReinvocationPolicy, w.SideEffects, w.ClientConfig.Service.Path, w.ClientConfig.Service.Port, w.Rules[0].Scope} {
			if field == nil {
				t.Errorf("%s leaves a field to the API server's default", w.Name)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
