//go:build e2e

package e2e

import "testing"

const (
	linkLocal     = `{name: irsa-sidecar-link-local, image: none}`
	bothListeners = `{name: SIDECAR_ECS_LISTEN, value: "169.254.170.2:80"}, {name: SIDECAR_IMDS_LISTEN, value: "169.254.169.254:80"}`

	ecsOnly    = "irsa-sidecar/endpoints: ecs"
	imdsOnly   = `irsa-sidecar/endpoints: " imds "`
	ecsAndIMDS = `irsa-sidecar/endpoints: "ecs,imds"`
	wrongName  = `irsa-sidecar/endpoints: "ecs,ec2"`
)

// sidecarWith returns the sidecar with additional variables.
func sidecarWith(variables string) string {
	return `{name: irsa-sidecar, image: none, restartPolicy: Always, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, ` + variables + `]}`
}

func initContainers(containers string) string {
	return "\n  initContainers: [" + containers + "]"
}

// endpointAccounts is a service account with the annotation irsa-sidecar/endpoints.
const endpointAccounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: endpoints, labels: {irsa-sidecar/inject: "true"}, annotations: {eks.amazonaws.com/role-arn: "` + roleA + `", irsa-sidecar/endpoints: "ecs,imds"}}
`

func TestGuardOfEndpointsWithPolicy(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.apply(endpointAccounts)
	n.check(t, []admission{
		{name: "ecs", label: "true", annotations: ecsOnly, sidecar: true},
		{name: "imds", label: "true", annotations: imdsOnly, sidecar: true},
		{name: "both", label: "true", annotations: ecsAndIMDS, sidecar: true},
		{name: "empty", label: "true", annotations: `irsa-sidecar/endpoints: ""`, sidecar: true},
		{name: "annotated service account", account: "endpoints", sidecar: true},
		{name: "annotated service account, pod with another value", account: "endpoints", annotations: ecsOnly, sidecar: true},
		{name: "annotated service account, pod with an empty value", account: "endpoints", annotations: `irsa-sidecar/endpoints: ""`, sidecar: true},
		{name: "annotated service account, pod without a sidecar", account: "endpoints", label: "false"},
		{name: "wrong name", label: "true", annotations: wrongName, refused: []string{`annotation irsa-sidecar/endpoints of the pod or its service account is "ecs,ec2": set it to "ecs", "imds" or "ecs,imds"`}},
		{name: "no label", annotations: ecsAndIMDS, refused: []string{"the pod has the annotation irsa-sidecar/endpoints but no sidecar", `add the label irsa-sidecar/inject: "true" to the pod, or remove the annotation`}},
		{name: "label false", label: "false", annotations: ecsAndIMDS, refused: []string{`the pod has the annotation irsa-sidecar/endpoints, but its label irsa-sidecar/inject: "false" keeps the sidecar out`, `set the label to "true", or remove the annotation`}},
		{name: "label false, empty annotation", label: "false", annotations: `irsa-sidecar/endpoints: ""`},
		{name: "port 80 with UDP", label: "true", annotations: ecsOnly, containers: "{name: web, image: none, ports: [{containerPort: 80, protocol: UDP}]}", sidecar: true},
		// The API server checks this before the guard, which would say "the pod uses hostNetwork".
		{name: "hostNetwork", label: "true", annotations: ecsAndIMDS, spec: "\n  hostNetwork: true", refused: []string{"net.ipv4.ip_unprivileged_port_start", "may not be specified when 'hostNetwork' is true"}},
		{name: "hostNetwork, annotated service account", account: "endpoints", spec: "\n  hostNetwork: true", refused: []string{"may not be specified when 'hostNetwork' is true"}},
		{name: "hostNetwork, no label", annotations: ecsAndIMDS, spec: "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "port 80", label: "true", annotations: ecsOnly, containers: "{name: web, image: none, ports: [{containerPort: 8080}, {containerPort: 80}]}", refused: []string{"port 80 is declared in container web, but the sidecar uses it (annotation irsa-sidecar/endpoints): use another port there"}},
		{name: "port 80, annotated service account", account: "endpoints", containers: "{name: web, image: none, ports: [{containerPort: 80}]}", refused: []string{"port 80 is declared in container web"}},
		{name: "port 80 in an init container", label: "true", annotations: ecsOnly, spec: "\n  initContainers: [{name: proxy, image: none, restartPolicy: Always, ports: [{containerPort: 80}]}]", refused: []string{"port 80 is declared in container proxy"}},
		{name: "port 80 without endpoints", label: "true", containers: "{name: web, image: none, ports: [{containerPort: 80}]}", sidecar: true},
	})
}

// Without deploy/inject the guard refuses a pod that lacks part of what its endpoints need.
func TestGuardOfEndpointsAlone(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	n.apply(endpointAccounts)
	n.check(t, []admission{
		{name: "no sidecar", label: "true", annotations: ecsAndIMDS, refused: []string{"but no sidecar"}},
		{name: "complete", label: "true", annotations: ecsAndIMDS, spec: initContainers(linkLocal + ", " + sidecarWith(bothListeners)), sidecar: true},
		{name: "complete, by flags", label: "true", annotations: ecsOnly, sidecar: true,
			spec: initContainers(linkLocal + `, {name: irsa-sidecar, image: none, restartPolicy: Always, args: ["--role-arn=` + roleA + `", "--ecs-listen=169.254.170.2:80"]}`)},
		{name: "more than requested", label: "true", annotations: ecsOnly, spec: initContainers(linkLocal + ", " + sidecarWith(bothListeners)), sidecar: true},
		{name: "sidecar without listeners", label: "true", annotations: ecsAndIMDS, spec: initContainers(linkLocal + ", " + sidecarWith("")), refused: []string{`annotation irsa-sidecar/endpoints is "ecs,imds", but the sidecar does not have SIDECAR_ECS_LISTEN and SIDECAR_IMDS_LISTEN`, "with deploy/component, annotate the workload too"}},
		{name: "sidecar with the other listener", label: "true", annotations: imdsOnly, spec: initContainers(linkLocal + ", " + sidecarWith(`{name: SIDECAR_ECS_LISTEN, value: "169.254.170.2:80"}`)), refused: []string{"the sidecar does not have SIDECAR_IMDS_LISTEN"}},
		{name: "empty listener", label: "true", annotations: imdsOnly, spec: initContainers(linkLocal + ", " + sidecarWith(`{name: SIDECAR_IMDS_LISTEN, value: ""}`)), refused: []string{"the sidecar does not have SIDECAR_IMDS_LISTEN"}},
		{name: "empty listener by flag", label: "true", annotations: ecsOnly,
			spec: initContainers(linkLocal + `, {name: irsa-sidecar, image: none, restartPolicy: Always, args: ["--role-arn=` + roleA + `", "--ecs-listen="]}`), refused: []string{"the sidecar does not have SIDECAR_ECS_LISTEN"}},
		{name: "listener by envFrom", label: "true", annotations: ecsOnly, sidecar: true,
			spec: initContainers(linkLocal + `, {name: irsa-sidecar, image: none, restartPolicy: Always, envFrom: [{configMapRef: {name: r}}]}`)},
		{name: "relative URI alone", label: "true", annotations: ecsOnly, containers: relativeContainer, spec: initContainers(linkLocal + ", " + sidecarWith(bothListeners)), sidecar: true},
		{name: "no variable, instance metadata endpoint", label: "true", annotations: imdsOnly, containers: "{name: app, image: none}", spec: initContainers(linkLocal + ", " + sidecarWith(bothListeners)), sidecar: true},
		{name: "no variable, ECS endpoint", label: "true", annotations: ecsOnly, containers: "{name: app, image: none}", spec: initContainers(linkLocal + ", " + sidecarWith(`{name: SIDECAR_ECS_LISTEN, value: "169.254.170.2:80"}`)), refused: []string{"nothing in the pod would use the sidecar"}},
		{name: "link-local for one address of two", label: "true", annotations: ecsAndIMDS, spec: initContainers(`{name: irsa-sidecar-link-local, image: none, args: [link-local, 169.254.170.2]}, ` + sidecarWith(bothListeners)), refused: []string{"init container irsa-sidecar-link-local does not add 169.254.169.254, so this address leads to the node: add it to the container's args"}},
		{name: "link-local for the requested address", label: "true", annotations: ecsOnly, spec: initContainers(`{name: irsa-sidecar-link-local, image: none, args: [link-local, 169.254.170.2]}, ` + sidecarWith(bothListeners)), sidecar: true},
		{name: "link-local without addresses adds both", label: "true", annotations: ecsAndIMDS, spec: initContainers(`{name: irsa-sidecar-link-local, image: none, args: [link-local]}, ` + sidecarWith(bothListeners)), sidecar: true},
		{name: "no link-local", label: "true", annotations: ecsAndIMDS, spec: initContainers(sidecarWith(bothListeners)), refused: []string{"the pod has no init container irsa-sidecar-link-local, without which the endpoints' addresses lead to the node", "deploy/component/sidecar/endpoints.yaml"}},
		{name: "link-local after the sidecar", label: "true", annotations: ecsAndIMDS, spec: initContainers(sidecarWith(bothListeners) + ", " + linkLocal), refused: []string{"init container irsa-sidecar-link-local comes after irsa-sidecar", "put it before irsa-sidecar"}},
		{name: "hostNetwork", label: "true", annotations: ecsAndIMDS, spec: initContainers(linkLocal+", "+sidecarWith(bothListeners)) + "\n  hostNetwork: true", refused: []string{"the pod uses hostNetwork"}},
		{name: "sidecar written by hand, no label", annotations: ecsAndIMDS, spec: initContainers(sidecarWith(bothListeners)), refused: []string{"the pod has no init container irsa-sidecar-link-local"}},
		{name: "sidecar written by hand, no annotation", spec: initContainers(sidecarWith(bothListeners)), sidecar: true},
		{name: "only the service account is annotated", account: "endpoints", label: "true", spec: nativeSidecar(roleEnv), refused: []string{"service account endpoints has the annotation irsa-sidecar/endpoints", "with deploy/component, annotate the workload instead"}},
		{name: "annotated service account, pod with an empty value", account: "endpoints", label: "true", annotations: `irsa-sidecar/endpoints: ""`, spec: nativeSidecar(roleEnv), sidecar: true},
	})
}
