package deploy

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func TestComponent(t *testing.T) {
	dir := copyDeploy(t)
	overlay := filepath.Join(dir, "overlay")
	write(t, filepath.Join(overlay, "workloads.yaml"), workloads())
	write(t, filepath.Join(overlay, "settings.yaml"), settings)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [workloads.yaml]\n")
	plain := build(t, overlay)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [settings.yaml, workloads.yaml]\ncomponents: [../component]\n")
	objects := build(t, overlay)
	if len(objects) != len(plain) {
		t.Errorf("%d objects, want %d as without the Component", len(objects), len(plain))
	}
	seen := 0
	for i, object := range objects {
		name, pod := template(object)
		if name != "with" {
			if !equality.Semantic.DeepEqual(object, plain[i]) {
				t.Errorf("%T %s has no label and was changed", object, name)
			}
			continue
		}
		seen++
		t.Run(fmt.Sprintf("%T", object), func(t *testing.T) { checkPod(t, pod) })
	}
	if seen != 5 {
		t.Errorf("%d workloads with the sidecar, want 5", seen)
	}
}

func checkPod(t *testing.T, pod *core.PodTemplateSpec) {
	t.Helper()
	if pod.Labels["irsa-sidecar/inject"] != "true" || pod.Labels["eks.amazonaws.com/skip-pod-identity-webhook"] != "true" || pod.Labels["app"] != "x" {
		t.Errorf("labels %v", pod.Labels)
	}
	sidecar := pod.Spec.InitContainers[0]
	want := map[string]string{
		"AWS_ROLE_ARN":                "arn:aws:iam::111122223333:role/a",
		"AWS_REGION":                  "eu-central-1",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/irsa-sidecar/token",
		"SIDECAR_DURATION":            "metadata.annotations['irsa-sidecar/duration']",
		"SIDECAR_SESSION_POLICY_ARNS": "metadata.annotations['irsa-sidecar/session-policy-arns']",
		"SIDECAR_LOG_LEVEL":           "metadata.annotations['irsa-sidecar/log-level']",
		"SIDECAR_ZONE":                "metadata.annotations['irsa-sidecar/zone']",
		"SIDECAR_ALLOWED_UIDS":        "metadata.annotations['irsa-sidecar/allowed-uids']",
	}
	if got := environment(sidecar); sidecar.Name != "irsa-sidecar" || sidecar.Image != "an/image:v1" || !maps.Equal(got, want) {
		t.Errorf("the first init container is %s with image %s and variables %v", sidecar.Name, sidecar.Image, got)
	}
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Error("the sidecar is not a native sidecar")
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers[1:]), pod.Spec.Containers...) {
		want := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9911/v1/credentials", "AWS_EC2_METADATA_DISABLED": "true"}
		if c.Name == "app" {
			want["OWN"] = "own"
		}
		if got := environment(c); !maps.Equal(got, want) || len(c.VolumeMounts) > 0 {
			t.Errorf("container %s has variables %v and mounts %v", c.Name, got, c.VolumeMounts)
		}
	}
	if len(pod.Spec.InitContainers) != 2 || len(pod.Spec.Containers) != 1 || len(pod.Spec.Volumes) != 1 {
		t.Errorf("%d init containers, %d containers, %d volumes", len(pod.Spec.InitContainers), len(pod.Spec.Containers), len(pod.Spec.Volumes))
	}
}

// The annotation adds the region to every container, and replaces another.
func TestSetRegion(t *testing.T) {
	own := strings.ReplaceAll(workloads(), "{name: OWN, value: own}", "{name: OWN, value: own}, {name: AWS_REGION, valueFrom: {configMapKeyRef: {name: a, key: a}}}")
	plain := withSidecar(t, own)
	for _, value := range []string{"true", "false"} {
		annotated := strings.ReplaceAll(own, "metadata: {name: with,", fmt.Sprintf("metadata: {name: with, annotations: {irsa-sidecar/set-region: %q},", value))
		for i, object := range withSidecar(t, annotated) {
			t.Run(fmt.Sprintf("%s %T", value, object), func(t *testing.T) {
				_, pod := template(object)
				_, before := template(plain[i])
				if got, want := pod.Annotations["irsa-sidecar/set-region"], strings.TrimSuffix(value, "false"); got != want {
					t.Errorf("the pods have the annotation %q, want %q", got, want)
				}
				checkRegion(t, before, pod, value == "true")
			})
		}
	}
}

func checkRegion(t *testing.T, before, pod *core.PodTemplateSpec, set bool) {
	t.Helper()
	for i, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		want := slices.Concat(before.Spec.InitContainers, before.Spec.Containers)[i].Env
		if set && c.Name != "irsa-sidecar" {
			want = slices.DeleteFunc(slices.Clone(want), func(e core.EnvVar) bool { return e.Name == "AWS_REGION" })
			want = append(want, core.EnvVar{Name: "AWS_REGION", Value: "eu-central-1"}, core.EnvVar{Name: "AWS_DEFAULT_REGION", Value: "eu-central-1"}, core.EnvVar{Name: "AWS_STS_REGIONAL_ENDPOINTS", Value: "regional"})
		}
		byName := func(a, b core.EnvVar) int { return strings.Compare(a.Name, b.Name) }
		if got, want := slices.SortedFunc(slices.Values(c.Env), byName), slices.SortedFunc(slices.Values(want), byName); !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("container %s has variables\n%v\nwant\n%v", c.Name, got, want)
		}
	}
}

// A kustomization can include two others that use the Component with different roles.
func TestComponentsTogether(t *testing.T) {
	dir := copyDeploy(t)
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name, "all.yaml"), strings.Replace(settings+"---\n"+workloads(), "role/a", "role/"+name, 1))
		write(t, filepath.Join(dir, name, "kustomization.yaml"), "namePrefix: "+name+"-\nresources: [all.yaml]\ncomponents: [../component]\n")
	}
	write(t, filepath.Join(dir, "both", "kustomization.yaml"), "resources: [../a, ../b]\n")
	roles := map[string]int{}
	for _, object := range build(t, filepath.Join(dir, "both")) {
		if _, pod := template(object); pod != nil && pod.Spec.InitContainers[0].Name == "irsa-sidecar" {
			roles[environment(pod.Spec.InitContainers[0])["AWS_ROLE_ARN"]]++
		}
	}
	if want := map[string]int{"arn:aws:iam::111122223333:role/a": 5, "arn:aws:iam::111122223333:role/b": 5}; !maps.Equal(roles, want) {
		t.Errorf("workloads by role: %v, want %v", roles, want)
	}
}

// Without the settings, or with one of them missing, kustomize fails.
func TestComponentWithoutSettings(t *testing.T) {
	for name, text := range map[string]string{
		"no ConfigMap": "",
		"no role":      strings.Replace(settings, "role: ", "rule: ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDeploy(t)
			overlay := filepath.Join(dir, "overlay")
			write(t, filepath.Join(overlay, "all.yaml"), workloads()+"---"+text)
			write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [all.yaml]\ncomponents: [../component]\n")
			_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
			if err == nil || !strings.Contains(err.Error(), "irsa-sidecar") {
				t.Errorf("got error %v, want one that names the ConfigMap irsa-sidecar", err)
			}
		})
	}
}

// A container with a blank env, or an empty one, gets the variables. With null it does not,
// as the documents say.
func TestEmptyEnv(t *testing.T) {
	for env, want := range map[string]bool{"env: []": true, "env:\n": true, "env: null": false} {
		deployment := `apiVersion: apps/v1
kind: Deployment
metadata: {name: with, labels: {irsa-sidecar/inject: "true"}}
spec:
  template:
    spec:
      containers:
        - name: app
          image: app
          ` + env + "\n"
		_, pod := template(withSidecar(t, deployment)[0])
		if _, has := environment(pod.Spec.Containers[0])["AWS_CONTAINER_CREDENTIALS_FULL_URI"]; has != want {
			t.Errorf("%q: the container has the variables: %t, want %t", env, has, want)
		}
	}
}

// With EKS Pod Identity the sidecar has the agent's variables and token in place of the role's,
// and nothing else differs.
func TestPodIdentity(t *testing.T) {
	plain := withSidecar(t, workloads())
	for i, object := range withSidecar(t, strings.ReplaceAll(workloads(), "metadata: {name: with,", "metadata: {name: with, annotations: {irsa-sidecar/source: pod-identity},")) {
		_, pod := template(object)
		_, want := template(plain[i])
		want.Annotations = map[string]string{"irsa-sidecar/source": "pod-identity"}
		want.Spec.InitContainers[0].Env[0] = core.EnvVar{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: "http://169.254.170.23/v1/credentials"}
		want.Spec.InitContainers[0].Env[1] = core.EnvVar{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Value: "/var/run/secrets/irsa-sidecar/token"}
		want.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Audience = "pods.eks.amazonaws.com"
		if !equality.Semantic.DeepEqual(pod, want) {
			t.Errorf("%T has the pods\n%v\nwant\n%v", object, pod, want)
		}
	}
}

// The example has EKS Pod Identity.
func TestPodIdentityExample(t *testing.T) {
	if got := environment(example(t, "pod-identity").Spec.InitContainers[0]); got["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "" || got["AWS_ROLE_ARN"] != "" {
		t.Errorf("the sidecar has variables %v", got)
	}
}

// An empty region is that of the node. The annotation irsa-sidecar/zone takes precedence.
func TestRegionOfNode(t *testing.T) {
	const region, zone = "metadata.labels['topology.kubernetes.io/region']", "metadata.labels['topology.kubernetes.io/zone']"
	for annotation, want := range map[string]string{"": zone, ", irsa-sidecar/zone: a": "metadata.annotations['irsa-sidecar/zone']"} {
		overlay := filepath.Join(copyDeploy(t), "overlay")
		all := strings.Replace(settings, "region: eu-central-1", `region: ""`, 1) + "---\n" +
			strings.ReplaceAll(workloads(), "metadata: {name: with,", `metadata: {name: with, annotations: {irsa-sidecar/set-region: "true"`+annotation+"},")
		write(t, filepath.Join(overlay, "all.yaml"), all)
		write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [all.yaml]\ncomponents: [../component]\n")
		for _, object := range build(t, overlay) {
			name, pod := template(object)
			if name != "with" {
				continue
			}
			if got := environment(pod.Spec.InitContainers[0]); got["AWS_REGION"] != region || got["SIDECAR_ZONE"] != want {
				t.Errorf("the sidecar of the %T has %v, want the region and the zone %s", object, got, want)
			}
			for _, c := range slices.Concat(pod.Spec.InitContainers[1:], pod.Spec.Containers) {
				if got := environment(c); got["AWS_REGION"] != region || got["AWS_DEFAULT_REGION"] != region {
					t.Errorf("container %s of the %T has %v, want the node's region", c.Name, object, got)
				}
			}
		}
	}
}
