//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

// Names that EKS gives its webhook, and the selector that it should have.
const (
	eksConfiguration = "pod-identity-webhook"
	eksWebhook       = "iam-for-pods.amazonaws.com"
	eksSelector      = `{matchExpressions: [{key: eks.amazonaws.com/skip-pod-identity-webhook, operator: DoesNotExist}]}`
)

// testBesideEKS: EKS's own webhook is not asked about pods that get the sidecar, also when a third
// webhook changes them and the API server asks again. Where it is asked, the guard says what to do.
func testBesideEKS(t *testing.T) {
	kubectl(t, "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: associated, namespace: "+shapes.Namespace+"}}", "apply", "-f", "-")
	ca := newAuthority(t)
	address := startEKS(t, ca)
	register(t, "zz-later", "zz-later.example.com", serve(t, ca, http.HandlerFunc(addAnnotation)), ca, "{}")
	register(t, eksConfiguration, eksWebhook, address, ca, eksSelector)
	kubectl(t, "", "apply", "-k", "../../deploy/guard")

	const agent = `irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/source: pod-identity`
	byAgent := shapes.Shape{Name: "by-agent", Namespace: shapes.Namespace, Pod: podOf("associated", agent)}
	for account, volume := range map[string]string{"example": `"aws-iam-token"`, "associated": `"eks-pod-identity-token"`} {
		other := shapes.Shape{Name: account, Namespace: shapes.Namespace, Pod: podOf(account, "")}
		until(t, 30*time.Second, func() error {
			before := askedEKS(t)
			if pod := text(create(other)); !strings.Contains(pod, volume) || !strings.Contains(pod, `"zz-later"`) {
				return fmt.Errorf("a pod that does not ask: %s", pod)
			}
			if asked := askedEKS(t) - before; asked != 2 {
				return fmt.Errorf("EKS's webhook was asked %v times, not again after a change", asked)
			}
			return nil
		})
	}
	before := askedEKS(t)
	for _, s := range []shapes.Shape{labelled, byAccount, byAgent} {
		if pod := text(create(s)); !strings.Contains(pod, `"irsa-sidecar-token"`) || !strings.Contains(pod, `"zz-later"`) {
			t.Errorf("%s: %s", s.Name, pod)
		}
	}
	if asked := askedEKS(t) - before; asked != 0 {
		t.Errorf("EKS's webhook was asked %v times about pods that get the sidecar", asked)
	}
	testWithoutSelector(t, ca, address)
	testWrongOrder(t, ca, address)

	kubectl(t, "", "delete", "-k", "../../deploy/guard")
	kubectl(t, "", "delete", "mutatingwebhookconfiguration", eksConfiguration, "zz-later")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
}

// testWithoutSelector: a configuration that somebody made without the selector, or from before it
// had one, asks about every pod. The annotation keeps its webhook out of the containers.
func testWithoutSelector(t *testing.T, ca authority, address string) {
	register(t, eksConfiguration, eksWebhook, address, ca, "{}")
	until(t, 30*time.Second, func() error {
		_, refusal := create(labelled)
		for _, want := range []string{"container app", "MutatingWebhookConfiguration pod-identity-webhook", "objectSelector", "eks.amazonaws.com/skip-containers"} {
			if !strings.Contains(refusal, want) {
				return fmt.Errorf("%q does not say %q", refusal, want)
			}
		}
		return nil
	})
	const skipping = asking + `}, annotations: {eks.amazonaws.com/skip-containers: "app,irsa-sidecar"`
	before := askedEKS(t)
	pod, refusal := create(shapes.Shape{Namespace: shapes.Namespace, Pod: podOf("example", skipping)})
	if err := hasSidecar(pod, refusal); err != nil || askedEKS(t) == before {
		t.Fatalf("with the annotation: %v, or EKS's webhook was not asked", err)
	}
	sidecar := pod["spec"].(map[string]any)["initContainers"].([]any)[0].(map[string]any)
	if sidecar["name"] != "irsa-sidecar" || sidecar["restartPolicy"] != "Always" {
		t.Errorf("the sidecar is no longer native: %v", sidecar)
	}
	if all := text(pod, ""); strings.Contains(all, "/var/run/secrets/eks.amazonaws.com") {
		t.Errorf("a container has EKS's token: %s", all)
	}
}

// testWrongOrder: a name that sorts before the injector's is not supported, and the guard sees
// what comes of it. The policy is before every webhook.
func testWrongOrder(t *testing.T, ca authority, address string) {
	kubectl(t, "", "delete", "mutatingwebhookconfiguration", eksConfiguration)
	register(t, "aa-"+eksConfiguration, eksWebhook, address, ca, eksSelector)
	other := shapes.Shape{Namespace: shapes.Namespace, Pod: podOf("example", "")}
	until(t, 30*time.Second, func() error {
		if pod := text(create(other)); !strings.Contains(pod, "aws-iam-token") {
			return fmt.Errorf("the webhook is not asked: %s", pod)
		}
		_, refusal := create(labelled)
		if refused := strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") && strings.Contains(refusal, "token"); refused == policies(t) {
			return fmt.Errorf("the guard says %q", refusal)
		}
		return nil
	})
	kubectl(t, "", "delete", "mutatingwebhookconfiguration", "aa-"+eksConfiguration)
	register(t, eksConfiguration, eksWebhook, address, ca, eksSelector)
}

// startEKS runs EKS's webhook until the test ends, with an association for one service account,
// and returns its address.
func startEKS(t *testing.T, ca authority) string {
	t.Helper()
	dir, address := t.TempDir(), os.Getenv("E2E_ADDRESS")
	cert, key := ca.issue(t, time.Now().Add(-time.Minute), time.Now().Add(time.Hour), address)
	association := fmt.Sprintf(`{"identities": [{"namespace": %q, "serviceAccount": "associated"}]}`, shapes.Namespace)
	for name, content := range map[string][]byte{"cert": cert, "key": key, "associations": []byte(association)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port, metrics := freePort(t), freePort(t)
	command := exec.Command(os.Getenv("E2E_EKS_WEBHOOK"), "--in-cluster=false", "--kubeconfig="+os.Getenv("KUBECONFIG"),
		"--tls-cert="+filepath.Join(dir, "cert"), "--tls-key="+filepath.Join(dir, "key"), "--port="+port, "--metrics-port="+metrics,
		"--watch-container-credentials-config="+filepath.Join(dir, "associations"), "--aws-default-region=eu-west-1", "--sts-regional-endpoint=true")
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		if t.Failed() {
			t.Logf("EKS's webhook: %s", log.String()[max(0, log.Len()-1000):])
		}
	})
	return net.JoinHostPort(address, port)
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// askedEKS returns how often the API server has asked EKS's webhook.
func askedEKS(t *testing.T) (sum float64) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^apiserver_admission_webhook_request_total\{.*name="`+regexp.QuoteMeta(eksWebhook)+`".*\} (\S+)$`).FindAllStringSubmatch(kubectl(t, "", "get", "--raw", "/metrics"), -1)
	for _, line := range lines {
		value, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}

// addAnnotation changes every pod, as other webhooks do.
func addAnnotation(w http.ResponseWriter, r *http.Request) {
	var review struct {
		APIVersion string
		Request    struct {
			UID    string
			Object struct {
				Metadata struct{ Annotations map[string]string }
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	operations := []map[string]any{{"op": "add", "path": "/metadata/annotations/zz-later", "value": "a"}}
	if review.Request.Object.Metadata.Annotations == nil {
		operations = []map[string]any{{"op": "add", "path": "/metadata/annotations", "value": map[string]string{"zz-later": "a"}}}
	}
	patch, _ := json.Marshal(operations)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"apiVersion": review.APIVersion, "kind": "AdmissionReview", "response": map[string]any{
		"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": patch,
	}})
}

// serve serves a webhook until the test ends, and returns its address.
func serve(t *testing.T, ca authority, handler http.Handler) string {
	t.Helper()
	address := os.Getenv("E2E_ADDRESS")
	cert, key := ca.issue(t, time.Now().Add(-time.Minute), time.Now().Add(time.Hour), address)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	go server.ServeTLS(ln, "", "")
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// register registers a webhook for all pods that a selector selects, with the settings that EKS
// has, except that it must not fail.
func register(t *testing.T, configuration, name, address string, ca authority, selector string) {
	t.Helper()
	kubectl(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %s}
webhooks:
  - name: %s
    admissionReviewVersions: [v1beta1]
    clientConfig: {url: "https://%s/mutate", caBundle: %s}
    failurePolicy: Fail
    reinvocationPolicy: IfNeeded
    objectSelector: %s
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    sideEffects: None
`, configuration, name, address, base64.StdEncoding.EncodeToString(ca.pem), selector, shapes.Namespace), "apply", "-f", "-")
}

func text(pod map[string]any, refusal string) string {
	if refusal != "" {
		return refusal
	}
	b, _ := json.Marshal(pod)
	return string(b)
}
