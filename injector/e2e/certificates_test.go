//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const expiry = "irsa_sidecar_injector_certificate_expiration_timestamp_seconds"

// testShortLived: a certificate that is about to expire is renewed before, and one that has
// expired while no injector ran is never used.
func testShortLived(t *testing.T) {
	secret := dataOf(t, own)
	ca := authorityOf(t, secret["ca.crt"], secret["ca.key"])
	failures, count := load(func() {
		short := time.Now().Add(40 * time.Second).Truncate(time.Second)
		secret["tls.crt"], secret["tls.key"] = ca.issue(t, time.Now(), short, "")
		writeSecret(t, own, "Opaque", secret)
		until(t, 20*time.Second, func() error { return allServe(t, short.Unix()) })
		until(t, 60*time.Second, func() error { return allServeFor(t, 300*24*time.Hour) })
		if time.Now().After(short) {
			t.Error("renewed after it had expired")
		}
	})
	if len(failures) > 0 || count < 50 {
		t.Errorf("%d pods, failures %v", count, failures)
	}

	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=0")
	kubectl(t, "", "-n", own, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name="+own, "--timeout=60s")
	secret["tls.crt"], secret["tls.key"] = ca.issue(t, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute), "")
	writeSecret(t, own, "Opaque", secret)
	kubectl(t, "", "-n", own, "scale", "deployment", own, "--replicas=2")
	kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=60s")
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
	if after := dataOf(t, own); !bytes.Equal(after["ca.crt"], secret["ca.crt"]) || bytes.Equal(after["tls.crt"], secret["tls.crt"]) {
		t.Error("the authority has changed, or the certificate has not")
	}
	if err := allServeFor(t, 300*24*time.Hour); err != nil {
		t.Error(err)
	}
}

// testCertManager: files that the kubelet replaces, as cert-manager renews the Secret.
func testCertManager(t *testing.T) {
	kubectl(t, "", "apply", "-k", "../../deploy/guard")
	kubectl(t, certManager, "apply", "-f", "-")
	kubectl(t, "", "wait", "--for=condition=Established", "crd/issuers.cert-manager.io", "crd/certificates.cert-manager.io")
	first, second := newAuthority(t), newAuthority(t)
	year := time.Now().Add(365 * 24 * time.Hour).Truncate(time.Second)
	before := dataOf(t, own)["ca.crt"]
	publish(t, first, time.Now().Add(-time.Hour), year)
	trust(t, before, first.pem)
	applyInjector(t, "components: [../deploy/injector/cert-manager]")
	kubectl(t, "", "-n", own, "delete", "rolebinding,role,secret", own)
	rollOut(t)
	trust(t, first.pem)
	until(t, 30*time.Second, func() error { return hasSidecar(create(labelled)) })
	pods := kubectl(t, "", "-n", own, "get", "pods", "-o", "name")

	failures, count := load(func() {
		publish(t, first, time.Now().Add(-time.Hour), year.Add(24*time.Hour))
		until(t, 150*time.Second, func() error { return allServe(t, year.Add(24*time.Hour).Unix()) })
		trust(t, first.pem, second.pem)
		publish(t, second, time.Now().Add(-time.Hour), year.Add(48*time.Hour))
		until(t, 150*time.Second, func() error { return allServe(t, year.Add(48*time.Hour).Unix()) })
		trust(t, second.pem)
		time.Sleep(2 * time.Second)
	})
	t.Logf("%d pods during a renewal and a new authority, %d failures", count, len(failures))
	if len(failures) > 0 || count < 50 {
		t.Errorf("%d pods, failures %v", count, failures)
	}
	if got := kubectl(t, "", "-n", own, "get", "pods", "-o", "name"); got != pods {
		t.Errorf("pods %s, not %s", got, pods)
	}
	testExpired(t, second, year)
}

// testExpired: the API server does not accept an expired certificate, and says so.
func testExpired(t *testing.T, ca authority, year time.Time) {
	publish(t, ca, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	kubectl(t, "", "-n", own, "rollout", "restart", "deployment/"+own) // open connections would go on
	rollOut(t)
	until(t, 60*time.Second, func() error {
		if _, refusal := create(labelled); !strings.Contains(refusal, "pods.irsa-sidecar.io") || !strings.Contains(refusal, "certificate has expired") {
			return fmt.Errorf("a pod that asks: %q", refusal)
		}
		if _, refusal := create(byAccount); !strings.Contains(refusal, "ValidatingAdmissionPolicy 'irsa-sidecar") {
			return fmt.Errorf("a pod whose account asks: %q", refusal)
		}
		return nil
	})
	checkOthers(t)
	publish(t, ca, time.Now().Add(-time.Hour), year)
	until(t, 150*time.Second, func() error { return errors.Join(hasSidecar(create(labelled)), hasSidecar(create(byAccount))) })
}

// rollOut waits until the new replicas are ready and the old ones are gone.
func rollOut(t *testing.T) {
	t.Helper()
	kubectl(t, "", "-n", own, "rollout", "status", "deployment/"+own, "--timeout=120s")
	until(t, 60*time.Second, func() error {
		if pods := strings.Fields(kubectl(t, "", "-n", own, "get", "pods", "-o", "name")); len(pods) != 2 {
			return fmt.Errorf("pods %q", pods)
		}
		return nil
	})
}

// certManager has its kinds, without what they do.
const certManager = `
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: issuers.cert-manager.io}, spec: {group: cert-manager.io, scope: Namespaced, names: {kind: Issuer, plural: issuers}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: certificates.cert-manager.io}, spec: {group: cert-manager.io, scope: Namespaced, names: {kind: Certificate, plural: certificates}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
`

// publish writes the Secret as cert-manager does.
func publish(t *testing.T, ca authority, notBefore, notAfter time.Time) {
	t.Helper()
	cert, key := ca.issue(t, notBefore, notAfter, "")
	writeSecret(t, "injector-tls", "kubernetes.io/tls", map[string][]byte{"ca.crt": ca.pem, "tls.crt": cert, "tls.key": key})
}

// trust writes caBundle, as cert-manager's CA injector does.
func trust(t *testing.T, authorities ...[]byte) {
	t.Helper()
	bundle := base64.StdEncoding.EncodeToString(bytes.Join(authorities, nil))
	var patch []string
	for i := range 3 {
		patch = append(patch, fmt.Sprintf(`{"op": "add", "path": "/webhooks/%d/clientConfig/caBundle", "value": %q}`, i, bundle))
	}
	kubectl(t, "", "patch", "mutatingwebhookconfiguration", "irsa-sidecar", "--type=json", "-p", "["+strings.Join(patch, ",")+"]")
}

func dataOf(t *testing.T, secret string) map[string][]byte {
	t.Helper()
	var s struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(kubectl(t, "", "-n", own, "get", "secret", secret, "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s.Data
}

// writeSecret replaces a Secret.
func writeSecret(t *testing.T, name, kind string, data map[string][]byte) {
	t.Helper()
	manifest, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": map[string]any{"name": name, "namespace": own}, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, string(manifest), "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// allServe returns an error unless both replicas' certificates expire at a time.
func allServe(t *testing.T, want int64) error {
	t.Helper()
	if sum := metric(t, expiry); sum != float64(2*want) {
		return fmt.Errorf("the certificates expire at %.0f, want %d", sum/2, want)
	}
	return nil
}

func allServeFor(t *testing.T, d time.Duration) error {
	t.Helper()
	if sum := metric(t, expiry); sum < 2*float64(time.Now().Add(d).Unix()) {
		return fmt.Errorf("the certificates expire at %.0f", sum/2)
	}
	return nil
}
