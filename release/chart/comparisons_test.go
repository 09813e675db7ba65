package main

const (
	// Every key of the ConfigMap.
	changedKeys = `  image: other.example.com/a/b:v9@sha256:0000000000000000000000000000000000000000000000000000000000000000
  region: eu-central-1
  cpu-request: "1"
  cpu-limit: 1500m
  memory-request: "67108864"
  memory-limit: none
  ephemeral-storage-request: 5Mi
  ephemeral-storage-limit: 6Mi
  uid: "1000700911"
  gid: "0"
  image-pull-policy: Always
  startup: hook
  warnings: Deny
  env: |
    HTTPS_PROXY=http://proxy:3128
    NOTE="a" %v {{ b }} \n '' <c>
`
	changedValues = `
image:
  repository: other.example.com/a/b
  tag: v9@sha256:0000000000000000000000000000000000000000000000000000000000000000
  pullPolicy: Always
region: eu-central-1
resources:
  requests: {cpu: 1, memory: 67108864, ephemeral-storage: 5Mi}
  limits: {cpu: 1500m, memory: null, ephemeral-storage: 6Mi}
uid: 1000700911
gid: 0
startup: hook
env:
  HTTPS_PROXY: http://proxy:3128
  NOTE: '"a" %v {{ b }} \n '''' <c>'
namespaceSelector:
  matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]
`
	changedPolicies = `
  - target: {kind: MutatingAdmissionPolicy|ValidatingAdmissionPolicy, name: irsa-sidecar.*}
    patch: |
      - {op: replace, path: /spec/failurePolicy, value: Ignore}
      - op: replace
        path: /spec/matchConstraints/namespaceSelector
        value: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}
`
	keys = "  image: registry.example.com/irsa-sidecar:v0.1.0\n  region: eu-west-1\n"

	injectorValues = "inject: {enabled: false}\ninjector: {enabled: true, image: {repository: registry.example.com/irsa-sidecar-injector}}\n"
	injector       = `
images: [{name: registry.example.com/irsa-sidecar-injector, newTag: v0.1.0}]
configMapGenerator:
  - name: injector-settings
    namespace: irsa-sidecar-injector
    behavior: merge
    literals: ["image=registry.example.com/irsa-sidecar:v0.1.0", region=eu-west-1]
`
	monitoringPatches = `
  - target: {kind: ConfigMap, name: irsa-sidecar-dashboard}
    patch: |
      - {op: replace, path: /metadata/namespace, value: prometheus}
  - target: {kind: PodMonitor|PrometheusRule}
    patch: |
      - {op: replace, path: /metadata/namespace, value: prometheus}
      - {op: add, path: /metadata/labels, value: {release: p}}
replacements:
  - sourceValue: git.example.org
    targets: [{select: {kind: PrometheusRule}, fieldPaths: [spec.groups.*.rules.*.annotations.runbook_url], options: {delimiter: /, index: 2}}]
  - sourceValue: x
    targets: [{select: {kind: PrometheusRule}, fieldPaths: [spec.groups.*.rules.*.annotations.runbook_url], options: {delimiter: /, index: 3}}]
`
	// Those that the chart always writes, although they are the defaults.
	injectorPatches = `
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |
      - {op: add, path: /webhooks/0/namespaceSelector/matchExpressions, value: &all [{key: kubernetes.io/metadata.name, operator: Exists}]}
      - {op: add, path: /webhooks/1/namespaceSelector/matchExpressions, value: *all}
      - {op: add, path: /webhooks/2/namespaceSelector/matchExpressions, value: *all}
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=cpu-request=10m}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=cpu-limit=none}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=memory-request=32Mi}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=memory-limit=64Mi}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=ephemeral-storage-request=none}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=ephemeral-storage-limit=none}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=uid=9911}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=gid=9911}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=image-pull-policy=none}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=startup=probe}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=env=}
`
)

var comparisons = []struct {
	name, values, kustomization, configMap string
	objects                                int
}{
	{
		"inject and guard", "",
		"resources: [settings.yaml, ../guard]\ncomponents: [../inject]\n",
		keys, 16,
	},
	{
		"inject alone", "guard: {enabled: false}\n",
		"resources: [settings.yaml]\ncomponents: [../inject]\n",
		keys, 4,
	},
	{
		"guard alone", "inject: {enabled: false}\n",
		"resources: [../guard]\n",
		keys, 12,
	},
	{
		"the region of the node", "region: \"\"\n",
		"resources: [settings.yaml, ../guard]\ncomponents: [../inject]\n",
		"  image: registry.example.com/irsa-sidecar:v0.1.0\n  region: \"\"\n", 16,
	},
	{
		"no requests and limits", "resources: {requests: null, limits: {memory: null}}\n",
		"resources: [settings.yaml, ../guard]\ncomponents: [../inject]\n",
		keys + "  cpu-request: none\n  memory-request: none\n  memory-limit: none\n", 16,
	},
	{
		"inject and guard changed", changedValues + "inject: {failurePolicy: Ignore}\nguard: {failurePolicy: Ignore, warnings: Deny}\n",
		"resources: [settings.yaml, ../guard]\ncomponents: [../inject]\npatches:" + changedPolicies,
		changedKeys, 16,
	},
	{
		"injector and guard", injectorValues,
		"resources: [../injector, ../guard]\n" + injector + injectorPatches,
		keys, 21,
	},
	{
		"inject, injector and guard", injectorValues + "inject: {enabled: true}\n",
		"resources: [../injector, ../guard, settings.yaml]\ncomponents: [../inject]\n" + injector + injectorPatches,
		keys, 25,
	},
	{
		"injector changed", changedValues + `
inject: {enabled: false}
guard: {enabled: false}
injector:
  enabled: true
  failurePolicy: Ignore
  image: {repository: other.example.com/i, tag: v8, pullPolicy: Never}
  imagePullSecrets: [{name: registry}]
  replicas: 3
  resources: {requests: {cpu: 50m, memory: null}, limits: {memory: 256Mi}}
  nodeSelector: {a: b}
  tolerations: [{key: c, operator: Exists}]
  hostNetwork: true
`,
		`
resources: [../injector]
namespace: elsewhere
images: [{name: registry.example.com/irsa-sidecar-injector, newName: other.example.com/i, newTag: v8}]
configMapGenerator:
  - name: injector-settings
    namespace: irsa-sidecar-injector
    behavior: merge
    literals: ["image=other.example.com/a/b:v9@sha256:0000000000000000000000000000000000000000000000000000000000000000", region=eu-central-1]
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |
      - {op: replace, path: /webhooks/0/failurePolicy, value: Ignore}
      - {op: add, path: /webhooks/0/namespaceSelector/matchExpressions, value: &some [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}
      - {op: add, path: /webhooks/1/namespaceSelector/matchExpressions, value: *some}
      - {op: add, path: /webhooks/2/namespaceSelector/matchExpressions, value: *some}
  - target: {kind: Deployment}
    patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: any}
      spec:
        replicas: 3
        template:
          spec:
            imagePullSecrets: [{name: registry}]
            nodeSelector: {a: b}
            tolerations: [{key: c, operator: Exists}]
            hostNetwork: true
            containers:
              - name: injector
                imagePullPolicy: Never
                resources: {requests: {cpu: 50m, memory: null}, limits: {memory: 256Mi}}
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=cpu-request=1}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=cpu-limit=1500m}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=memory-request=67108864}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=memory-limit=none}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=ephemeral-storage-request=5Mi}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=ephemeral-storage-limit=6Mi}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=uid=1000700911}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=gid=0}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=image-pull-policy=Always}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --setting=startup=hook}
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: "--setting=env=HTTPS_PROXY=http://proxy:3128\nNOTE=\"a\" %v {{ b }} \\n '' <c>\n"}
`,
		keys, 9,
	},
	{
		"monitoring", injectorValues + "guard: {enabled: false}\nmonitoring: {enabled: true, namespace: prometheus, labels: {release: p}, repository: https://git.example.org/x}\n",
		"resources: [../injector, ../monitoring, ../injector/monitoring]\n" + injector + injectorPatches + monitoringPatches,
		keys, 14,
	},
}
