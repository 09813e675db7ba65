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
	"strings"
	"sync"
	"testing"
	"time"

	"irsa-sidecar/injector/shapes"
)

// eks imitates EKS's pod-identity-webhook: to every container of a pod whose service account
// has a role it adds variables and a token. It is strict where that one is not: a pod that has
// the sidecar must not come to it.
type eks struct {
	mu      sync.Mutex // guards the fields below
	asked   int
	sidecar []string // pods with the sidecar about which it was asked
}

func (e *eks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Request    struct {
			UID    string `json:"uid"`
			Object struct {
				Metadata struct {
					Name   string            `json:"name"`
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
				Spec struct {
					ServiceAccountName         string `json:"serviceAccountName"`
					Volumes                    []struct{ Name string }
					Containers, InitContainers []struct {
						Name string `json:"name"`
						Env  []any  `json:"env"`
					}
				} `json:"spec"`
			} `json:"object"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod := review.Request.Object
	e.mu.Lock()
	e.asked++
	for _, c := range pod.Spec.InitContainers {
		if c.Name == "irsa-sidecar" {
			e.sidecar = append(e.sidecar, pod.Metadata.Name)
		}
	}
	e.mu.Unlock()
	response := map[string]any{"uid": review.Request.UID, "allowed": true}
	again := false // it leaves such a pod alone
	for _, v := range pod.Spec.Volumes {
		again = again || v.Name == "aws-iam-token"
	}
	if account := pod.Spec.ServiceAccountName; !again && (account == "example" || account == "asking") {
		operations := []any{map[string]any{"op": "add", "path": "/spec/volumes/0", "value": map[string]any{
			"name": "aws-iam-token", "projected": map[string]any{"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}}}},
		}}}
		for i, c := range pod.Spec.Containers {
			env := append(c.Env, map[string]any{"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::111122223333:role/example"},
				map[string]any{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"})
			operations = append(operations, map[string]any{"op": "add", "path": fmt.Sprintf("/spec/containers/%d/env", i), "value": env},
				map[string]any{"op": "add", "path": fmt.Sprintf("/spec/containers/%d/volumeMounts/-", i), "value": map[string]any{
					"name": "aws-iam-token", "readOnly": true, "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}})
		}
		patch, _ := json.Marshal(operations)
		response["patch"], response["patchType"] = patch, "JSONPatch"
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"apiVersion": review.APIVersion, "kind": review.Kind, "response": response})
}

// take returns and forgets what it was asked.
func (e *eks) take() (asked int, sidecar []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	asked, sidecar = e.asked, e.sidecar
	e.asked, e.sidecar = 0, nil
	return asked, sidecar
}

// testBesideEKS: the order of names and the label keep EKS's webhook away from pods that get
// the sidecar, also when a third webhook changes the pod and the API server asks again.
func testBesideEKS(t *testing.T) {
	e := &eks{}
	ca := newAuthority(t)
	address := serve(t, ca, e)
	later := serve(t, ca, http.HandlerFunc(addAnnotation))
	register(t, "zz-later", later, ca, "{}")
	const skipped = `{matchExpressions: [{key: eks.amazonaws.com/skip-pod-identity-webhook, operator: DoesNotExist}]}`
	register(t, "pod-identity-webhook", address, ca, skipped)
	other := shapes.Shape{Name: "other", Namespace: shapes.Namespace, Pod: podOf("example", "")}
	until(t, 30*time.Second, func() error {
		if pod := text(create(other)); !strings.Contains(pod, "aws-iam-token") || !strings.Contains(pod, `"zz-later"`) {
			return fmt.Errorf("a pod that does not ask: %s", pod)
		}
		return nil
	})
	if asked, _ := e.take(); asked < 2 {
		t.Errorf("EKS's webhook was asked %d times, not again after a change", asked)
	}
	for _, s := range []shapes.Shape{labelled, byAccount} {
		pod := text(create(s))
		if !strings.Contains(pod, `"irsa-sidecar-token"`) || strings.Contains(pod, "aws-iam-token") || strings.Contains(pod, "serviceaccount/token") || !strings.Contains(pod, `"zz-later"`) {
			t.Errorf("%s: %s", s.Name, pod)
		}
	}
	if asked, sidecar := e.take(); asked > 0 || len(sidecar) > 0 {
		t.Errorf("EKS's webhook was asked %d times about pods that get the sidecar: %v", asked, sidecar)
	}

	// A name that sorts before ours is not supported: the guard sees what comes of it.
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	register(t, "aa-pod-identity-webhook", address, ca, skipped)
	until(t, 30*time.Second, func() error {
		if _, refusal := create(labelled); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") || !strings.Contains(refusal, "token") {
			return fmt.Errorf("not refused by the guard: %q", refusal)
		}
		return nil
	})
	kubectl(t, "", "delete", "-k", "../../deploy/guard")
	kubectl(t, "", "delete", "mutatingwebhookconfiguration", "aa-pod-identity-webhook", "pod-identity-webhook", "zz-later")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
}

// addAnnotation changes every pod, as other webhooks do.
func addAnnotation(w http.ResponseWriter, r *http.Request) {
	var review struct{ Request struct{ UID string } }
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": map[string]any{
		"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": []byte(`[{"op": "add", "path": "/metadata/annotations", "value": {"zz-later": "a"}}]`),
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

// register registers a webhook for all pods that a selector selects, with EKS's settings, but
// one that must not fail.
func register(t *testing.T, name, address string, ca authority, selector string) {
	t.Helper()
	kubectl(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %s}
webhooks:
  - name: iam-for-pods.example.com
    admissionReviewVersions: [v1]
    clientConfig: {url: "https://%s/mutate", caBundle: %s}
    failurePolicy: Fail
    reinvocationPolicy: IfNeeded
    objectSelector: %s
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    sideEffects: None
`, name, address, base64.StdEncoding.EncodeToString(ca.pem), selector, shapes.Namespace), "apply", "-f", "-")
}

func text(pod map[string]any, refusal string) string {
	if refusal != "" {
		return refusal
	}
	b, _ := json.Marshal(pod)
	return string(b)
}
