//go:build e2e

package e2e

import "testing"

const (
	// linkLocal is an init container, and sidecarOf the sidecar with those variables.
	linkLocal = `{name: irsa-sidecar-link-local, image: none}`
	both      = `{name: SIDECAR_ECS_LISTEN, value: "169.254.170.2:80"}, {name: SIDECAR_IMDS_LISTEN, value: "169.254.169.254:80"}`

	asksECS   = "irsa-sidecar/endpoints: ecs"
	asksIMDS  = `irsa-sidecar/endpoints: " imds "`
	asksBoth  = `irsa-sidecar/endpoints: "ecs,imds"`
	asksWrong = `irsa-sidecar/endpoints: "ecs,ec2"`
)

func sidecarOf(variables string) string {
	return `{name: irsa-sidecar, image: none, restartPolicy: Always, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, ` + variables + `]}`
}

func inits(containers string) string {
	return "\n  initContainers: [" + containers + "]"
}

// doorAccounts are service accounts that ask for doors, and for the sidecar.
const doorAccounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: doors, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/inject: "true", irsa-sidecar/endpoints: "ecs,imds"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: doors-wrong, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/endpoints: "both"}}
`

func TestGuardOfDoorsWithPolicy(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.apply(doorAccounts)
	n.check(t, []admission{
		{name: "one door", label: "true", annotations: asksECS, sidecar: true},
		{name: "the other", label: "true", annotations: asksIMDS, sidecar: true},
		{name: "both", label: "true", annotations: asksBoth, sidecar: true},
		{name: "none", label: "true", annotations: `irsa-sidecar/endpoints: ""`, sidecar: true},
		{name: "asked by the service account", account: "doors", sidecar: true},
		{name: "the pod wants another", account: "doors", annotations: asksECS, sidecar: true},
		{name: "the pod wants none", account: "doors", annotations: `irsa-sidecar/endpoints: ""`, sidecar: true},
		{name: "the pod wants no sidecar", account: "doors", label: "false"},
		{name: "another word", label: "true", annotations: asksWrong, refused: []string{`annotation irsa-sidecar/endpoints is "ecs,ec2": set it to "ecs", "imds" or "ecs,imds"`}},
		{name: "another word of the service account", account: "doors-wrong", label: "true", refused: []string{`service account doors-wrong asks for doors (annotation irsa-sidecar/endpoints: "both")`, `correct it to "ecs"`}},
		{name: "no sidecar asked for", annotations: asksBoth, refused: []string{"the pod asks for doors of the sidecar (annotation irsa-sidecar/endpoints) and not for the sidecar", `irsa-sidecar/inject: "true"`}},
		{name: "no sidecar wanted", label: "false", annotations: asksBoth},
		// That comes before the guard, which would say "hostNetwork: the sidecar serves ...".
		{name: "hostNetwork", label: "true", annotations: asksBoth, spec: "\n  hostNetwork: true", refused: []string{"net.ipv4.ip_unprivileged_port_start", "may not be specified when 'hostNetwork' is true"}},
		{name: "hostNetwork, asked by the service account", account: "doors", spec: "\n  hostNetwork: true", refused: []string{"may not be specified when 'hostNetwork' is true"}},
		{name: "hostNetwork, and no sidecar asked for", annotations: asksBoth, spec: "\n  hostNetwork: true", refused: []string{"hostNetwork: the sidecar serves"}},
		{name: "port 80", label: "true", annotations: asksECS, containers: "{name: web, image: none, ports: [{containerPort: 8080}, {containerPort: 80}]}", refused: []string{"container web wants port 80, which the sidecar has for its doors (annotation irsa-sidecar/endpoints): use another"}},
		{name: "port 80, asked by the service account", account: "doors", containers: "{name: web, image: none, ports: [{containerPort: 80}]}", refused: []string{"container web wants port 80"}},
		{name: "port 80 of an init container", label: "true", annotations: asksECS, spec: "\n  initContainers: [{name: proxy, image: none, restartPolicy: Always, ports: [{containerPort: 80}]}]", refused: []string{"container proxy wants port 80"}},
		{name: "port 80 without doors", label: "true", containers: "{name: web, image: none, ports: [{containerPort: 80}]}", sidecar: true},
	})
}

// The guard alone refuses a pod that asks for doors and has not got all that they need.
func TestGuardOfDoorsAlone(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	n.apply(doorAccounts)
	n.check(t, []admission{
		{name: "nothing added", label: "true", annotations: asksBoth, refused: []string{"nothing has added it"}},
		{name: "all added", label: "true", annotations: asksBoth, spec: inits(linkLocal + ", " + sidecarOf(both)), sidecar: true},
		{name: "all added, by flags", label: "true", annotations: asksECS, sidecar: true,
			spec: inits(linkLocal + `, {name: irsa-sidecar, image: none, restartPolicy: Always, args: ["--role-arn=` + roleA + `", "--ecs-listen=169.254.170.2:80"]}`)},
		{name: "more than was asked for", label: "true", annotations: asksECS, spec: inits(linkLocal + ", " + sidecarOf(both)), sidecar: true},
		{name: "a sidecar without doors", label: "true", annotations: asksBoth, spec: inits(linkLocal + ", " + sidecarOf("")), refused: []string{`asks for doors (annotation irsa-sidecar/endpoints: "ecs,imds") and the sidecar has no SIDECAR_ECS_LISTEN and no SIDECAR_IMDS_LISTEN`, "annotate the workload too"}},
		{name: "a sidecar with the other", label: "true", annotations: asksIMDS, spec: inits(linkLocal + ", " + sidecarOf(`{name: SIDECAR_ECS_LISTEN, value: "169.254.170.2:80"}`)), refused: []string{"the sidecar has no SIDECAR_IMDS_LISTEN"}},
		{name: "no link-local", label: "true", annotations: asksBoth, spec: inits(sidecarOf(both)), refused: []string{"has no init container irsa-sidecar-link-local, without which their addresses lead to the node"}},
		{name: "link-local too late", label: "true", annotations: asksBoth, spec: inits(sidecarOf(both) + ", " + linkLocal), refused: []string{"init container irsa-sidecar-link-local stands after irsa-sidecar", "put it before"}},
		{name: "hostNetwork", label: "true", annotations: asksBoth, spec: inits(linkLocal+", "+sidecarOf(both)) + "\n  hostNetwork: true", refused: []string{"hostNetwork: the sidecar serves"}},
		{name: "added by hand, without a label", annotations: asksBoth, spec: inits(sidecarOf(both)), refused: []string{"has no init container irsa-sidecar-link-local"}},
		{name: "added by hand, without an annotation", spec: inits(sidecarOf(both)), sidecar: true},
		{name: "the service account alone asks", account: "doors", label: "true", spec: native(hasRole), refused: []string{"service account doors asks for doors", "with deploy/component annotate the workload instead"}},
		{name: "the pod wants none", account: "doors", label: "true", annotations: `irsa-sidecar/endpoints: ""`, spec: native(hasRole), sidecar: true},
	})
}
