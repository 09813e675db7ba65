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

// doors is what a value of the annotation irsa-sidecar/endpoints makes of a pod.
type doors struct {
	value    string
	template string            // the value that the pods get
	sidecar  map[string]string // more variables of the sidecar
	others   map[string]string // variables of every other container
	args     []string          // of the container link-local
}

func allDoors() []doors {
	const uri = "http://127.0.0.1:9911/v1/credentials"
	ecs := doors{"ecs", "ecs",
		map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v1/credentials", "AWS_EC2_METADATA_DISABLED": "true"},
		[]string{"link-local", "169.254.170.2"}}
	imds := doors{"imds", "imds",
		map[string]string{"SIDECAR_IMDS_LISTEN": "169.254.169.254:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_EC2_METADATA_DISABLED": "false"},
		[]string{"link-local", "169.254.169.254"}}
	both := doors{"ecs,imds", "ecs,imds",
		map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:80", "SIDECAR_IMDS_LISTEN": "169.254.169.254:80"},
		map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v1/credentials", "AWS_EC2_METADATA_DISABLED": "false"},
		[]string{"link-local", "169.254.170.2", "169.254.169.254"}}
	turned := both
	turned.value = "imds, ecs"
	return []doors{ecs, imds, both, turned}
}

// annotated has the workloads that ask for the sidecar ask for doors too.
func annotated(value string) string {
	return strings.ReplaceAll(workloads(), "metadata: {name: with,", fmt.Sprintf("metadata: {name: with, annotations: {irsa-sidecar/endpoints: %q},", value))
}

// made returns what the Component makes of the workloads that ask for the sidecar.
func made(t *testing.T, workloads string) []runtime.Object {
	t.Helper()
	overlay := filepath.Join(copyOf(t), "overlay")
	write(t, filepath.Join(overlay, "all.yaml"), settings+"---\n"+workloads)
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [all.yaml]\ncomponents: [../component]\n")
	return slices.DeleteFunc(build(t, overlay), func(object runtime.Object) bool {
		name, _ := template(object)
		return name != "with"
	})
}

func TestDoors(t *testing.T) {
	plain := made(t, workloads())
	for _, want := range allDoors() {
		t.Run(want.value, func(t *testing.T) {
			objects := made(t, annotated(want.value))
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
					checkDoors(t, before, pod, want)
				})
			}
		})
	}
}

// checkDoors checks that a pod has doors, and is else as it was without.
func checkDoors(t *testing.T, before, pod *core.PodTemplateSpec, want doors) {
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
		t.Errorf("the sidecar has %v, want %v", got, env)
	}
	if sidecar.Env = plain.Env; !equality.Semantic.DeepEqual(sidecar, plain) {
		t.Errorf("besides the variables the sidecar is\n%v\nwant\n%v", sidecar, plain)
	}
	for _, c := range append(slices.Clone(pod.Spec.InitContainers[2:]), pod.Spec.Containers...) {
		got := environment(c)
		delete(got, "OWN")
		if !maps.Equal(got, want.others) {
			t.Errorf("container %s has %v, want %v", c.Name, got, want.others)
		}
	}
	if got, want := len(pod.Spec.InitContainers), len(before.Spec.InitContainers)+1; got != want || !equality.Semantic.DeepEqual(pod.Spec.Volumes, before.Spec.Volumes) {
		t.Errorf("%d init containers, want %d; volumes %v", got, want, pod.Spec.Volumes)
	}
}

// checkLinkLocal checks that the container has what it needs, and nothing else.
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

// An empty annotation asks for nothing.
func TestNoDoors(t *testing.T) {
	plain, empty := made(t, workloads()), made(t, annotated(""))
	for i, object := range empty {
		object.(meta.Object).SetAnnotations(nil)
		if !equality.Semantic.DeepEqual(object, plain[i]) {
			t.Errorf("%T is\n%v\nwant\n%v", object, object, plain[i])
		}
	}
}

// What a pod sets by itself stays: other sysctls, other containers of similar names.
func TestDoorsBesideWhatIsThere(t *testing.T) {
	own := strings.ReplaceAll(annotated("ecs"), "initContainers: [{", `securityContext: {runAsUser: 1, sysctls: [
		{name: net.ipv4.tcp_syncookies, value: "1"}, {name: net.ipv4.ip_unprivileged_port_start, value: "1024"}]},
		initContainers: [{name: my-irsa-sidecar, image: own}, {name: irsa-sidecar-link-local-2, image: own}, {`)
	for _, object := range made(t, own) {
		_, pod := template(object)
		want := []core.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "1"}, {Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
		if got := pod.Spec.SecurityContext; !slices.Equal(got.Sysctls, want) || got.RunAsUser == nil {
			t.Errorf("%T: the pod's security context is %v", object, got)
		}
		var names []string
		for _, c := range pod.Spec.InitContainers {
			names = append(names, c.Name+" of "+c.Image)
		}
		if want := []string{"irsa-sidecar-link-local of an/image:v1", "irsa-sidecar of an/image:v1", "my-irsa-sidecar of own", "irsa-sidecar-link-local-2 of own", "setup of setup"}; !slices.Equal(names, want) {
			t.Errorf("%T: init containers %v, want %v", object, names, want)
		}
	}
}
