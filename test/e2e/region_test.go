//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// Annotations for the EKS webhook count with inject too.
func TestTokenAnnotations(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: token, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", eks.amazonaws.com/audience: example, eks.amazonaws.com/token-expiration: "7200"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: no-number, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", eks.amazonaws.com/token-expiration: "1h"}}
`)
	n.check(t, nil) // waits for the service accounts
	for _, tt := range []struct {
		name, account, annotation string
		wantAudience              string
		wantSeconds               float64
	}{
		{"none", "a", "", "sts.amazonaws.com", 86400},
		{"service account's", "token", "", "example", 7200},
		{"pod's", "token", `eks.amazonaws.com/token-expiration: "601"`, "example", 601},
		{"too short", "a", `eks.amazonaws.com/token-expiration: "599"`, "sts.amazonaws.com", 600},
		{"no number", "no-number", "", "sts.amazonaws.com", 86400},
		{"pod's is no number", "token", `eks.amazonaws.com/token-expiration: ""`, "example", 7200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := n.dryRun(admission{account: tt.account, label: "true", annotations: tt.annotation}.pod())
			if err != nil {
				t.Fatal(err)
			}
			var p pod
			if err := json.Unmarshal([]byte(answer.object), &p); err != nil {
				t.Fatal(err)
			}
			for _, v := range list(p.Spec, "volumes") {
				if v["name"] == "irsa-sidecar-token" {
					token := list(v["projected"].(map[string]any), "sources")[0]["serviceAccountToken"].(map[string]any)
					if token["audience"] != tt.wantAudience || token["expirationSeconds"] != tt.wantSeconds {
						t.Errorf("the token is %v, want audience %s, expiration %v", token, tt.wantAudience, tt.wantSeconds)
					}
					return
				}
			}
			t.Error("the pod has no token")
		})
	}
	// A token of the service account's audience is one for STS.
	_, err := n.dryRun(admission{account: "token", label: "true", containers: `{name: app, image: none, volumeMounts: [{name: token, mountPath: /t}]}`, spec: tokenVolume("example")}.pod())
	if want := "a token for STS or EKS Pod Identity is mounted in container app"; !strings.Contains(refusal(err), want) {
		t.Errorf("the API server answered %v, want %q", err, want)
	}
}

// An application keeps the region that the EKS webhook would give it.
func TestRegion(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: global, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", eks.amazonaws.com/sts-regional-endpoints: "False"}}
`)
	n.check(t, nil) // waits for the service accounts
	region := map[string]any{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_STS_REGIONAL_ENDPOINTS": "regional"}
	reference := map[string]any{"configMapKeyRef": map[string]any{"name": "a", "key": "a"}}
	for _, tt := range []struct {
		name, account, annotation string
		container                 string
		want                      map[string]any // value, or valueFrom
	}{
		{"none", "a", "true", "", region},
		{"AWS_REGION", "a", "true", "env: [{name: AWS_REGION, value: us-west-2}]", map[string]any{"AWS_REGION": "us-west-2", "AWS_STS_REGIONAL_ENDPOINTS": "regional"}},
		{"AWS_DEFAULT_REGION by reference", "a", "true", "env: [{name: AWS_DEFAULT_REGION, valueFrom: {configMapKeyRef: {name: a, key: a}}}]", map[string]any{"AWS_DEFAULT_REGION": reference, "AWS_STS_REGIONAL_ENDPOINTS": "regional"}},
		{"AWS_STS_REGIONAL_ENDPOINTS", "a", "true", "env: [{name: AWS_STS_REGIONAL_ENDPOINTS, value: legacy}]", map[string]any{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_STS_REGIONAL_ENDPOINTS": "legacy"}},
		{"envFrom", "a", "true", "envFrom: [{configMapRef: {name: a}}]", region},
		{"not wanted", "a", "false", "", map[string]any{}},
		{"service account without regional endpoints", "global", "true", "", map[string]any{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			container := "{name: app, image: none, " + tt.container + "}"
			answer, err := n.dryRun(admission{account: tt.account, label: "true", annotations: fmt.Sprintf("irsa-sidecar/set-region: %q", tt.annotation), containers: container}.pod())
			if err != nil {
				t.Fatal(err)
			}
			var p pod
			if err := json.Unmarshal([]byte(answer.object), &p); err != nil {
				t.Fatal(err)
			}
			got := map[string]any{}
			for _, e := range list(list(p.Spec, "containers")[0], "env") {
				name := e["name"].(string)
				if _, ok := appEnv[name]; ok {
					continue
				}
				if got[name] = e["value"]; e["valueFrom"] != nil {
					got[name] = e["valueFrom"]
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("the container has %v, want %v", got, tt.want)
			}
		})
	}
}
