//go:build e2e

package e2e

import (
	"fmt"
	"testing"
)

// Only a sidecar with an STS endpoint of its own may have a role that AWS does not know.
func TestGuardWithAnotherSTS(t *testing.T) {
	t.Parallel()
	const ofCeph, ofMinIO, elevenDigits = "arn:aws:iam:::role/team/a", "arn:minio:iam:eu-west-1::role/a-1_b", "arn:aws:iam::11112222333:role/a"
	role := func(role, more string) string {
		return nativeSidecar(fmt.Sprintf(`, env: [{name: AWS_ROLE_ARN, value: %q}%s]`, role, more))
	}
	annotation := func(role string) string { return fmt.Sprintf("eks.amazonaws.com/role-arn: %q", role) }
	const url = `, {name: AWS_ENDPOINT_URL_STS, value: "https://storage.example"}`
	newNamespace(t, "guard", privileged).check(t, []admission{
		{name: "Ceph", account: "default", label: "true", spec: role(ofCeph, url), sidecar: true},
		{name: "MinIO", account: "default", label: "true", spec: role(ofMinIO, url), sidecar: true},
		{name: "a role of AWS", label: "true", spec: role(roleA, url), sidecar: true},
		{name: "an endpoint for every service", account: "default", label: "true", spec: role(ofCeph, `, {name: AWS_ENDPOINT_URL, value: "http://storage.example"}`), sidecar: true},
		{name: "an endpoint by reference", account: "default", label: "true", spec: role(ofCeph, ", {name: AWS_ENDPOINT_URL_STS, valueFrom: {configMapKeyRef: {name: r, key: r}}}"), sidecar: true},
		{name: "an endpoint by flag", account: "default", label: "true", spec: nativeSidecar(`, args: ["--role-arn=` + ofMinIO + `", --sts-endpoint, "http://minio:9000"]`), sidecar: true},
		{name: "the pod's annotation", account: "default", label: "true", annotations: annotation(ofCeph), spec: role(ofCeph, url), sidecar: true},
		{name: "the service account's annotation", account: "of-ceph", label: "true", spec: role(ofCeph, url), sidecar: true},
		{name: "the service account's annotation, an endpoint by flag", account: "of-ceph", label: "true", spec: nativeSidecar(`, args: ["--role-arn=` + ofCeph + `", "--sts-endpoint=http://rgw"]`), sidecar: true},
		{name: "no endpoint", account: "default", label: "true", spec: role(ofCeph, ""), refused: []string{`the sidecar's AWS_ROLE_ARN is "` + ofCeph + `", which is not a role ARN`, "one that is not of AWS needs the sidecar's AWS_ENDPOINT_URL_STS"}},
		{name: "an empty endpoint", account: "default", label: "true", spec: role(ofMinIO, `, {name: AWS_ENDPOINT_URL_STS, value: ""}`), refused: []string{`"` + ofMinIO + `", which is not a role ARN`}},
		{name: "an empty flag hides the variable", account: "default", label: "true", spec: nativeSidecar(`, args: ["--sts-endpoint="], env: [{name: AWS_ROLE_ARN, value: "` + ofCeph + `"}` + url + "]"), refused: []string{"needs the sidecar's AWS_ENDPOINT_URL_STS"}},
		{name: "eleven digits, no endpoint", account: "default", label: "true", spec: role(elevenDigits, ""), refused: []string{`"` + elevenDigits + `", which is not a role ARN`}},
		{name: "no role, with an endpoint", account: "default", label: "true", spec: role("arn:aws:iam:::user/a", url), refused: []string{`"arn:aws:iam:::user/a", which is not a role ARN`}},
		{name: "the pod's annotation, no endpoint", account: "default", label: "true", annotations: annotation(ofCeph), spec: role(ofCeph, ""), refused: []string{`the pod's annotation eks.amazonaws.com/role-arn is "` + ofCeph + `", which is not a role ARN`, "a role that is not of AWS needs the sidecar's AWS_ENDPOINT_URL_STS"}},
		{name: "the service account's annotation, no endpoint", account: "of-ceph", label: "true", spec: role(roleA, ""), refused: []string{`annotation eks.amazonaws.com/role-arn of service account of-ceph is "` + ofCeph + `", which is not a role ARN`, "a role that is not of AWS needs the sidecar's AWS_ENDPOINT_URL_STS"}},
	})
}
