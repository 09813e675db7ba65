//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// A shape is a realistic pod. Its spec is YAML and complies with the restricted standard.
// SECURE stands for a container's securityContext, IMAGE for an existing image.
type shape struct{ name, spec string }

func (s shape) yaml(indent string) string {
	spec := strings.NewReplacer("SECURE", restricted, "IMAGE", shared.appImage).Replace(strings.TrimSpace(s.spec))
	return indent + strings.ReplaceAll(spec, "\n", "\n"+indent)
}

func shapes() []shape {
	return []shape{
		{"bare", `
automountServiceAccountToken: false
containers: [{name: app, image: IMAGE, securityContext: SECURE}]`},

		{"many-containers", `
initContainers:
  - {name: first, image: IMAGE, securityContext: SECURE, env: [{name: A, value: a}]}
  - {name: proxy, image: IMAGE, securityContext: SECURE, restartPolicy: Always, ports: [{containerPort: 15001}]}
  - {name: last, image: IMAGE, securityContext: SECURE}
containers:
  - {name: one, image: IMAGE, securityContext: SECURE}
  - {name: two, image: IMAGE, securityContext: SECURE, env: [{name: B, value: b}]}
  - {name: three, image: IMAGE, securityContext: SECURE, command: [/client], workingDir: /}`},

		{"aws-variables", `
initContainers:
  - name: setup
    image: IMAGE
    securityContext: SECURE
    env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://169.254.170.23/v1/credentials"}]
containers:
  - name: values
    image: IMAGE
    securityContext: SECURE
    env:
      - {name: AWS_PROFILE, value: work}
      - {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://169.254.170.23/v1/credentials"}
      - {name: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, value: /token}
      - {name: AWS_ROLE_ARN, value: "arn:aws:iam::111122223333:role/of-its-own"}
      - {name: AWS_EC2_METADATA_DISABLED, value: "false"}
      - {name: AWS_REGION, value: us-west-2}
      - {name: LAST, value: $(AWS_CONTAINER_CREDENTIALS_FULL_URI)}
  - name: references
    image: IMAGE
    securityContext: SECURE
    envFrom: [{configMapRef: {name: settings, optional: true}}, {prefix: AWS_, secretRef: {name: settings, optional: true}}]
    env:
      - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      - {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, valueFrom: {configMapKeyRef: {name: settings, key: uri}}}
      - {name: AWS_EC2_METADATA_DISABLED, valueFrom: {secretKeyRef: {name: settings, key: metadata, optional: true}}}`},

		{"volumes", `
volumes:
  - {name: cache, emptyDir: {}}
  - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: vault, projected: {sources: [{serviceAccountToken: {audience: vault, expirationSeconds: 600, path: token}}, {configMap: {name: settings, optional: true}}]}}
containers:
  - name: app
    image: IMAGE
    securityContext: SECURE
    volumeMounts: [{name: cache, mountPath: /cache}, {name: info, mountPath: /info}, {name: vault, mountPath: /var/run/secrets/vault}]`},

		{"empty-lists", `
initContainers: []
volumes: []
containers: [{name: app, image: IMAGE, securityContext: SECURE, env: [], volumeMounts: []}]`},

		{"many-fields", `
securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, runAsNonRoot: true, supplementalGroups: [4000], seccompProfile: {type: RuntimeDefault}}
shareProcessNamespace: true
terminationGracePeriodSeconds: 3
enableServiceLinks: false
hostAliases: [{ip: 127.0.0.1, hostnames: [example.invalid]}]
dnsConfig: {options: [{name: ndots, value: "2"}]}
tolerations: [{operator: Exists}]
imagePullSecrets: [{name: registry}]
hostname: example
containers:
  - name: app
    image: IMAGE
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    ports: [{name: http, containerPort: 8080}]
    lifecycle: {preStop: {sleep: {seconds: 1}}}
    resources: {requests: {cpu: 1m, memory: 8Mi}, limits: {cpu: 1m, memory: 8Mi}}
    readinessProbe: {tcpSocket: {port: 8080}}`},

		{"sidecars-user", `
securityContext: {runAsUser: 9911, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
containers: [{name: irsa, image: IMAGE, securityContext: SECURE}]`},

		{"sysctls", `
securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}, {name: net.ipv4.ip_unprivileged_port_start, value: "1024"}]}
containers: [{name: app, image: IMAGE, securityContext: SECURE}]`},

		{"large", largeSpec()},
	}
}

// largeSpec returns a pod larger than real ones: CEL expressions have a cost budget.
func largeSpec() string {
	var b strings.Builder
	b.WriteString("containers:\n")
	for c := range 20 {
		fmt.Fprintf(&b, "  - name: c%d\n    image: IMAGE\n    securityContext: SECURE\n    env:\n", c)
		for e := range 60 {
			fmt.Fprintf(&b, "      - {name: VARIABLE_%d, value: \"%d\"}\n", e, e)
		}
	}
	return b.String()
}
