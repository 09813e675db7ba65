// Package shapes has the pods with which the injector is compared with the API server's own
// evaluation of the policy.
package shapes

import (
	"fmt"
	"slices"
	"strings"
)

// Image is the sidecar's.
const Image = "registry.example.com/irsa-sidecar:v1"

// Namespace has no label, except that its service accounts may ask; Asking has the label
// itself.
const (
	Namespace = "shapes"
	Asking    = "shapes-asking"
)

// A Shape is a pod that is about to be created.
type Shape struct {
	Name      string
	Namespace string
	Pod       string // YAML
}

// Objects returns the namespaces and service accounts of the shapes.
func Objects() string {
	var b strings.Builder
	for _, namespace := range []string{Namespace, Asking} {
		label := "irsa-sidecar/service-accounts"
		if namespace == Asking {
			label = "irsa-sidecar/inject"
		}
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {%s: \"true\"}}}\n", namespace, label)
		for _, account := range []struct{ name, labels, annotations string }{
			{"example", "", role},
			{"asking", asking, role},
			{"declining", `irsa-sidecar/inject: "false"`, role},
			{"without-role", asking, ""},
			{"annotated", asking, role + `, eks.amazonaws.com/audience: example, eks.amazonaws.com/token-expiration: "600", irsa-sidecar/endpoints: "ecs, imds", eks.amazonaws.com/sts-regional-endpoints: "false"`},
			{"pod-identity", asking, "irsa-sidecar/source: pod-identity"},
			{"odd", `irsa-sidecar/inject: "yes"`, role + `, eks.amazonaws.com/audience: "", eks.amazonaws.com/token-expiration: "99999999999", eks.amazonaws.com/sts-regional-endpoints: F, irsa-sidecar/uid: "2000", irsa-sidecar/memory-limit: 1Gi, irsa-sidecar/source: nothing, irsa-sidecar/endpoints: imds`},
		} {
			fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: %s, labels: {%s}, annotations: {%s}}}\n", account.name, namespace, account.labels, account.annotations)
		}
	}
	return b.String()
}

const (
	asking = `irsa-sidecar/inject: "true"`
	role   = `eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/example"`
)

// All returns every shape: each spec asking by its label, and one spec asking in every way.
func All() (all []Shape) {
	add := func(name, namespace, account, labels, annotations, spec string) {
		all = append(all, Shape{name, namespace, fmt.Sprintf(
			"apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {%s}, annotations: {%s}}\nspec:\n  serviceAccountName: %s\n  %s\n",
			name, labels, annotations, account, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))})
	}
	for _, s := range specs() {
		add(s.name, Namespace, "example", asking, "", s.spec)
		add(s.name+"-endpoints", Namespace, "example", asking, `irsa-sidecar/endpoints: "ecs,imds"`, s.spec)
	}
	plain := specs()[0].spec
	for _, namespace := range []string{Namespace, Asking} {
		for _, account := range []string{"example", "asking", "declining", "without-role", "annotated", "pod-identity"} {
			for i, label := range []string{"", asking, `irsa-sidecar/inject: "false"`} {
				add(fmt.Sprintf("%s-%s-%d", namespace, account, i), namespace, account, label, "", plain)
			}
		}
	}
	for i, annotations := range []string{
		`eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/own", eks.amazonaws.com/token-expiration: "7200"`,
		`irsa-sidecar/source: pod-identity, irsa-sidecar/endpoints: ecs`,
		`irsa-sidecar/source: web-identity, irsa-sidecar/endpoints: " imds ,nothing"`,
		`irsa-sidecar/set-region: "false", eks.amazonaws.com/token-expiration: soon`,
		`irsa-sidecar/duration: 2h, irsa-sidecar/zone: eu-west-1a, irsa-sidecar/log-level: debug`,
		`irsa-sidecar/endpoints: ""`,
		`irsa-sidecar/startup: hook`,
	} {
		for _, account := range []string{"example", "annotated", "pod-identity"} {
			add(fmt.Sprintf("annotations-%d-%s", i, account), Namespace, account, asking, annotations, plain)
		}
	}
	return append(all, metadata()...)
}

type spec struct{ name, spec string }

func specs() []spec { return slices.Concat(ordinary(), unusual(), odd()) }

func ordinary() []spec {
	return []spec{
		{"plain", "containers: [{name: app, image: app}]"},
		{"without-token", "automountServiceAccountToken: false\ncontainers: [{name: app, image: app}]"},
		{"many-containers", `
initContainers:
  - {name: first, image: app, env: [{name: A, value: a}]}
  - {name: native, image: app, restartPolicy: Always, ports: [{containerPort: 15001}]}
containers:
  - {name: one, image: app, envFrom: [{configMapRef: {name: settings}}]}
  - {name: two, image: app, env: [{name: B, value: b}, {name: AWS_REGION, value: us-east-1}]}
  - {name: three, image: app, command: [/app], workingDir: /}`},
		{"variables", `
containers:
  - name: app
    image: app
    env:
      - {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://169.254.170.23/v1/credentials"}
      - {name: AWS_EC2_METADATA_DISABLED, valueFrom: {configMapKeyRef: {name: a, key: b}}}
      - {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: twice}
      - {name: AWS_DEFAULT_REGION, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      - {name: LAST, value: $(AWS_CONTAINER_CREDENTIALS_FULL_URI)}`},
		{"volumes", `
volumes:
  - {name: cache, emptyDir: {}}
  - {name: vault, projected: {sources: [{serviceAccountToken: {audience: vault, expirationSeconds: 600, path: token}}]}}
containers: [{name: app, image: app, volumeMounts: [{name: cache, mountPath: /cache}, {name: vault, mountPath: /vault}]}]`},
		{"large", large()},
	}
}

func unusual() []spec {
	return []spec{
		{"token-volume", "volumes: [{name: irsa-sidecar-token, emptyDir: {}}]\ncontainers: [{name: app, image: app}]"},
		{"empty-lists", "initContainers: []\nvolumes: []\ncontainers: [{name: app, image: app, env: [], volumeMounts: []}]"},
		{"already-there", "containers: [{name: irsa-sidecar, image: app}, {name: app, image: app}]"},
		{"windows", "os: {name: windows}\ncontainers: [{name: app, image: app}]"},
		{"windows-by-selector", "nodeSelector: {kubernetes.io/os: windows}\ncontainers: [{name: app, image: app}]"},
		{"host-network", "hostNetwork: true\ncontainers: [{name: app, image: app, ports: [{containerPort: 80}]}]"},
		{"sysctls", `
securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}, {name: net.ipv4.ip_unprivileged_port_start, value: "1024"}]}
containers: [{name: app, image: app}]`},
		{"many-fields", `
securityContext: {runAsUser: 1000, fsGroup: 3000, runAsNonRoot: true, supplementalGroups: [4000]}
shareProcessNamespace: true
terminationGracePeriodSeconds: 3
activeDeadlineSeconds: 2147483647
hostAliases: [{ip: 127.0.0.1, hostnames: [example.invalid]}]
tolerations: [{operator: Exists}]
imagePullSecrets: [{name: registry}]
containers:
  - name: app
    image: app:v1
    resources: {requests: {cpu: 0.5, memory: 8Mi}, limits: {cpu: 1, memory: 8Mi}}
    livenessProbe: {httpGet: {path: "/~a/b", port: http}, periodSeconds: 3}
    ports: [{name: http, containerPort: 8080}]
    env: [{name: UMLAUT, value: "ü\"b\\c~1"}]`},
	}
}

// large returns a pod larger than real ones: CEL expressions have a cost budget.
func large() string {
	var b strings.Builder
	b.WriteString("containers:\n")
	for c := range 10 {
		fmt.Fprintf(&b, "  - name: c%d\n    image: app\n    env:\n", c)
		for e := range 30 {
			fmt.Fprintf(&b, "      - {name: VARIABLE_%d, value: \"%d\"}\n", e, e)
		}
	}
	return b.String()
}
