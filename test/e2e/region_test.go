//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

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
