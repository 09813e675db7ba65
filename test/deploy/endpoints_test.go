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
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// endpoints describes what a value of the annotation irsa-sidecar/endpoints adds to a pod.
type endpoints struct {
	value    string
	template string            // the annotation's value on the pods
	sidecar  map[string]string // additional variables of the sidecar
	others   map[string]string // variables of every other container
	args     []string          // of the container irsa-sidecar-link-local
}

func allEndpoints() []endpoints {
	const uri = "http://127.0.0.1:9911/v1/credentials"
	ecs := endpoints{"ecs", "ecs",
		map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v1/credentials", "AWS_EC2_METADATA_DISABLED": "true"},
		[]string{"link-local", "169.254.170.2"}}
	imds := endpoints{"imds", "imds",
		map[string]string{"SIDECAR_IMDS_LISTEN": "169.254.169.254:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_EC2_METADATA_DISABLED": "false"},
		[]string{"link-local", "169.254.169.254"}}
	both := endpoints{"ecs,imds", "ecs,imds",
		map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:80", "SIDECAR_IMDS_LISTEN": "169.254.169.254:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v1/credentials", "AWS_EC2_METADATA_DISABLED": "false"},
		[]string{"link-local", "169.254.170.2", "169.254.169.254"}}
	reversed := both
	reversed.value = "imds, ecs"
	return []endpoints{ecs, imds, both, reversed}
}

// annotated returns workloads() with the annotation on those that have the label.
func annotated(value string) string {
	return strings.ReplaceAll(workloads(), "metadata: {name: with,", fmt.Sprintf("metadata: {name: with, annotations: {irsa-sidecar/endpoints: %q},", value))
}

// withSidecar applies the Component to workloads and returns those with the label.
func withSidecar(t *testing.T, workloads string) []runtime.Object {
	t.Helper()
	overlay := filepath.Join(copyDeploy(t), "overlay")
	write(t, filepath.Join(overlay, "all.yaml"), settings+"---\n"+workloads)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [all.yaml]\ncomponents: [../component]\n")
	return slices.DeleteFunc(build(t, overlay), func(object runtime.Object) bool {
		name, _ := template(object)
		return name != "with"
	})
}

func TestEndpoints(t *testing.T) {
	plain := withSidecar(t, workloads())
	for _, want := range allEndpoints() {
		t.Run(want.value, func(t *testing.T) {
			objects := withSidecar(t, annotated(want.value))
			if len(objects) != 5 {
				t.Fatalf("%d workloads, want 5", len(objects))
			}
			for i, object := range objects {
				_, pod := template(object)
				_, before := template(plain[i])
				t.Run(fmt.Sprintf("%T", object), func(t *testing.T) {
					if got := object.(meta.Object).GetAnnotations(); !maps.Equal(got, map[string]string{"irsa-sidecar/endpoints": want.value}) {
						t.Errorf("the workload has the annotations %v", got)
					}
					checkEndpoints(t, before, pod, want)
				})
			}
		})
	}
}

// checkEndpoints checks that a pod has the endpoints, and otherwise equals the pod
// without them.
func checkEndpoints(t *testing.T, before, pod *core.PodTemplateSpec, want endpoints) {
	t.Helper()
	if got := pod.Annotations["irsa-sidecar/endpoints"]; got != want.template {
		t.Errorf("the pods have the annotation %q, want %q", got, want.template)
	}
	checkLinkLocal(t, pod.Spec.InitContainers[0], before.Spec.InitContainers[0].Image, want.args)
	if got := pod.Spec.SecurityContext.Sysctls; !slices.Equal(got, []core.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}) {
		t.Errorf("sysctls %v", got)
	}
	sidecar, plain := pod.Spec.InitContainers[1], before.Spec.InitContainers[0]
	env := environment(plain)
	maps.Copy(env, want.sidecar)
	if got := environment(sidecar); !maps.Equal(got, env) {
		t.Errorf("the sidecar has variables %v, want %v", got, env)
	}
	if sidecar.Env = plain.Env; !equality.Semantic.DeepEqual(sidecar, plain) {
		t.Errorf("except for its variables the sidecar is\n%v\nwant\n%v", sidecar, plain)
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers[2:]), pod.Spec.Containers...) {
		got := environment(c)
		delete(got, "OWN")
		if !maps.Equal(got, want.others) {
			t.Errorf("container %s has variables %v, want %v", c.Name, got, want.others)
		}
	}
	if got, want := len(pod.Spec.InitContainers), len(before.Spec.InitContainers)+1; got != want || !equality.Semantic.DeepEqual(pod.Spec.Volumes, before.Spec.Volumes) {
		t.Errorf("%d init containers, want %d; volumes %v", got, want, pod.Spec.Volumes)
	}
}

// checkLinkLocal checks that the container has exactly the privileges it needs.
func checkLinkLocal(t *testing.T, got core.Container, image string, args []string) {
	t.Helper()
	want := core.Container{
		Name: "irsa-sidecar-link-local", Image: image, Args: args, Resources: got.Resources,
		SecurityContext: &core.SecurityContext{
			RunAsUser: new(int64(0)), RunAsGroup: new(int64(0)), RunAsNonRoot: new(false),
			ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false),
			Capabilities:   &core.Capabilities{Drop: []core.Capability{"ALL"}, Add: []core.Capability{"NET_ADMIN"}},
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault},
		},
	}
	if !equality.Semantic.DeepEqual(got, want) || got.Resources.Limits.Memory().IsZero() || got.Resources.Requests.Cpu().IsZero() {
		t.Errorf("the first init container is\n%v\nwant\n%v", got, want)
	}
}

// An empty annotation adds no endpoint.
func TestNoEndpoints(t *testing.T) {
	plain, empty := withSidecar(t, workloads()), withSidecar(t, annotated(""))
	for i, object := range empty {
		object.(meta.Object).SetAnnotations(nil)
		if !equality.Semantic.DeepEqual(object, plain[i]) {
			t.Errorf("%T is\n%v\nwant\n%v", object, object, plain[i])
		}
	}
}

// The pod keeps its other sysctls and its containers with similar names.
func TestEndpointsKeepPod(t *testing.T) {
	own := strings.ReplaceAll(annotated("ecs"), "initContainers: [{", `securityContext: {runAsUser: 1, sysctls: [
		{name: net.ipv4.tcp_syncookies, value: "1"}, {name: net.ipv4.ip_unprivileged_port_start, value: "1024"}]},
		initContainers: [{name: my-irsa-sidecar, image: own}, {name: irsa-sidecar-link-local-2, image: own}, {`)
	for _, object := range withSidecar(t, own) {
		_, pod := template(object)
		want := []core.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "1"}, {Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
		if got := pod.Spec.SecurityContext; !slices.Equal(got.Sysctls, want) || got.RunAsUser == nil {
			t.Errorf("%T: the pod's security context is %v", object, got)
		}
		var names []string
		for _, c := range pod.Spec.InitContainers {
			names = append(names, c.Name+" "+c.Image)
		}
		if want := []string{"irsa-sidecar-link-local an/image:v1", "irsa-sidecar an/image:v1", "my-irsa-sidecar own", "irsa-sidecar-link-local-2 own", "setup setup"}; !slices.Equal(names, want) {
			t.Errorf("%T: init containers %v, want %v", object, names, want)
		}
	}
}
