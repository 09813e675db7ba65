package shapes

import (
	"fmt"
	"slices"
)

// odd returns pods as few people write them, and as controllers do.
func odd() []spec { return slices.Concat(oddContainers(), oddPods(), fromControllers()) }

func oddContainers() []spec {
	return []spec{
		{"env-null", `
initContainers: [{name: first, image: app, env: null, volumeMounts: null}]
containers: [{name: app, image: app, env: null}, {name: two, image: app, env: [{name: A, value: null}, {name: B}, {name: AWS_REGION, value: ""}]}]`},
		{"value-from", `
containers:
  - name: app
    image: app
    env:
      - {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, valueFrom: {secretKeyRef: {name: a, key: b, optional: true}}}
      - {name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, valueFrom: {configMapKeyRef: {name: a, key: b}}}
      - {name: AWS_REGION, valueFrom: {configMapKeyRef: {name: a, key: b}}}
      - {name: CPUS, valueFrom: {resourceFieldRef: {containerName: app, resource: limits.cpu, divisor: 1m}}}
      - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}`},
		{"every-container-has-a-uri", `
initContainers:
  - {name: init, image: app, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://127.0.0.1:1/a"}]}
  - {name: native, image: app, restartPolicy: Always, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://127.0.0.1:2/a"}]}
containers:
  - {name: one, image: app, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://127.0.0.1:3/a"}, {name: AWS_CONTAINER_AUTHORIZATION_TOKEN, value: t}]}
  - {name: two, image: app, env: [{name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, value: /b}, {name: AWS_EC2_METADATA_DISABLED, value: "false"}]}`},
		{"native-sidecars", `
initContainers:
  - {name: proxy, image: app, restartPolicy: Always, startupProbe: {httpGet: {path: /, port: 80}}, lifecycle: {preStop: {exec: {command: [a]}}}}
  - {name: migrate, image: app, command: [sh, -c, 'echo "$(A)"'], env: [{name: A, value: "$(B)"}]}
  - {name: logs, image: app, restartPolicy: Always, volumeMounts: [{name: logs, mountPath: /logs}]}
volumes: [{name: logs, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
containers: [{name: app, image: app, lifecycle: {postStart: {sleep: {seconds: 1}}}}]`},
	}
}

func oddPods() []spec {
	return []spec{
		{"ephemeral-volumes", `
volumes:
  - {name: scratch, ephemeral: {volumeClaimTemplate: {metadata: {labels: {a: b}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}
  - {name: csi, csi: {driver: example.com, volumeAttributes: {a: b}}}
  - {name: claim, persistentVolumeClaim: {claimName: a}}
  - {name: all, projected: {defaultMode: 256, sources: [{secret: {name: a}}, {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}}
containers: [{name: app, image: app, volumeMounts: [{name: scratch, mountPath: /s, subPath: a}, {name: all, mountPath: /var/run/secrets/irsa-sidecar}], volumeDevices: [{name: claim, devicePath: /dev/a}]}]`},
		{"host-everything", "hostNetwork: true\nhostPID: true\nhostIPC: true\ndnsPolicy: ClusterFirstWithHostNet\ncontainers: [{name: app, image: app, ports: [{containerPort: 9911, hostPort: 9911}]}]"},
		{"ports-of-the-sidecar", "containers: [{name: app, image: app, ports: [{name: irsa-metrics, containerPort: 9912}, {containerPort: 9911, protocol: UDP}]}]"},
		{"name-of-link-local", "initContainers: [{name: irsa-sidecar-link-local, image: app}]\ncontainers: [{name: app, image: app}]"},
		{"windows-options", `
os: {name: windows}
securityContext: {windowsOptions: {hostProcess: true, runAsUserName: 'NT AUTHORITY\SYSTEM'}}
hostNetwork: true
containers: [{name: app, image: app}]`},
		{"linux", "os: {name: linux}\nnodeSelector: {kubernetes.io/os: linux, a/b: \"1\"}\ncontainers: [{name: app, image: app}]"},
		{"deprecated-account", "serviceAccount: example\ncontainers: [{name: app, image: app}]"},
	}
}

func fromControllers() []spec {
	return []spec{
		{"scheduling", `
schedulingGates: [{name: example.com/gate}]
readinessGates: [{conditionType: example.com/ready}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}, matchLabelKeys: [pod-template-hash]}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: a, labelSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}}]}}
containers: [{name: app, image: app, resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]}]`},
		{"as-a-stateful-set", `
hostname: cart-0
subdomain: cart
setHostnameAsFQDN: true
enableServiceLinks: false
dnsConfig: {nameservers: [10.0.0.1], options: [{name: ndots, value: "2"}, {name: edns0}]}
terminationGracePeriodSeconds: 9223372036
containers: [{name: app, image: "registry.example.com:5000/a/b@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", stdin: true, tty: true, terminationMessagePolicy: FallbackToLogsOnError}]
volumes: [{name: data, persistentVolumeClaim: {claimName: data-cart-0}}]`},
		{"as-a-job", "restartPolicy: Never\nactiveDeadlineSeconds: 1\nbackoffLimit: 3\ncontainers: [{name: app, image: app}]"},
		{"limited", `
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}
securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, fsGroupChangePolicy: OnRootMismatch, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}, {name: kernel.shm_rmid_forced, value: "1"}]}
containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, resources: {limits: {cpu: 900m, example.com/gpu: 1}}}]`},
		{"unicode", "containers: [{name: app, image: app, args: [\"\\u0000ü😀 </script> & \\u2028\"], env: [{name: a.b-c, value: \"line\\nline\\ttab\"}]}]"},
	}
}

// metadata returns pods whose metadata is unusual.
func metadata() (all []Shape) {
	const spec = "spec:\n  serviceAccountName: %s\n  containers: [{name: app, image: app}]\n"
	add := func(name, account, metadata string) {
		all = append(all, Shape{name, Namespace, "apiVersion: v1\nkind: Pod\nmetadata: " + metadata + "\n" + fmt.Sprintf(spec, account)})
	}
	const pod = "name: example, labels: {" + asking
	add("generated-name", "example", "{generateName: cart-, labels: {"+asking+"}}")
	add("owned", "example", "{"+pod+", batch.kubernetes.io/job-name: a}, finalizers: [batch.kubernetes.io/job-tracking], ownerReferences: [{apiVersion: batch/v1, kind: Job, name: a, uid: 6a1b, controller: true, blockOwnerDeletion: true}]}")
	add("labels-null", "asking", "{name: example, labels: null, annotations: null}")
	add("labels-none", "asking", "{name: example}")
	add("requested-by", "example", "{"+pod+", irsa-sidecar/requested-by: pod}}")
	add("label-empty", "example", `{name: example, labels: {irsa-sidecar/inject: ""}}`)
	add("label-capital", "example", `{name: example, labels: {irsa-sidecar/inject: "True"}}`)
	add("skips-pod-identity", "example", "{"+pod+`, eks.amazonaws.com/skip-pod-identity-webhook: "false"}}`)
	add("default-account", "default", "{"+pod+"}}")
	for i, annotations := range []string{
		`irsa-sidecar/cpu-request: 500m, irsa-sidecar/cpu-limit: "1", irsa-sidecar/memory-request: 64Mi, irsa-sidecar/memory-limit: none, irsa-sidecar/ephemeral-storage-limit: 1Gi`,
		`irsa-sidecar/uid: "1234", irsa-sidecar/gid: "0", irsa-sidecar/image-pull-policy: Always`,
		`irsa-sidecar/uid: "0", irsa-sidecar/gid: nobody, irsa-sidecar/image-pull-policy: Sometimes, irsa-sidecar/cpu-limit: a lot`,
		`irsa-sidecar/allowed-uids: "1000,1001", irsa-sidecar/session-policy-arns: "arn:aws:iam::aws:policy/ReadOnlyAccess", irsa-sidecar/duration: ""`,
		`irsa-sidecar/source: pod-identity, irsa-sidecar/endpoints: "imds,ecs,imds", irsa-sidecar/set-region: "false"`,
		`irsa-sidecar/source: "", irsa-sidecar/endpoints: all, eks.amazonaws.com/token-expiration: "-1"`,
		`eks.amazonaws.com/role-arn: "", eks.amazonaws.com/audience: other, eks.amazonaws.com/token-expiration: "999999999"`,
		`a.b/c_d: "\"\\~1/", irsa-sidecar/unknown: "` + "9007199254740993" + `"`,
	} {
		for _, account := range []string{"example", "odd", "pod-identity"} {
			add(fmt.Sprintf("settings-%d-%s", i, account), account, "{"+pod+"}, annotations: {"+annotations+"}}")
		}
	}
	return all
}
