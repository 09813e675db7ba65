package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	disruption "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// What every installation needs.
const images = "image: {repository: registry.example.com/irsa-sidecar}\nregion: eu-west-1\n"

// A cluster, as Helm sees it: kinds are what it serves, or nothing for helm template.
type cluster struct{ version, kinds string }

const servesPolicies = "v1/Pod admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"

// files returns those of a chart without a registry.
var files = sync.OnceValues(func() (map[string][]byte, error) { return chart("v0.1.0", "") })

// render returns what helm install makes of values in YAML, and the notes.
func render(t *testing.T, values, namespace string, c cluster) (text, notes string, err error) {
	t.Helper()
	files, err := files()
	if err != nil {
		t.Fatal(err)
	}
	var buffered []*archive.BufferedFile
	for _, name := range names(files) {
		buffered = append(buffered, &archive.BufferedFile{Name: name, Data: files[name]})
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	kubernetes, err := common.ParseKubeVersion(c.version)
	if err != nil {
		t.Fatal(err)
	}
	capabilities := common.Capabilities{KubeVersion: *kubernetes, APIVersions: strings.Fields(c.kinds)}
	all, err := util.ToRenderValues(loaded, given, common.ReleaseOptions{Name: "irsa-sidecar", Namespace: namespace, IsInstall: true}, &capabilities)
	if err != nil {
		return "", "", err
	}
	rendered, err := engine.Render(loaded, all)
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	for name, template := range rendered {
		if strings.HasSuffix(name, ".yaml") {
			b.WriteString("---\n" + template)
		}
	}
	return b.String(), rendered["irsa-sidecar/templates/NOTES.txt"], nil
}

// objects decodes YAML by kind, namespace and name, strictly: an unknown field is an error.
func objects(t *testing.T, text string) map[string]runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{core.AddToScheme, apps.AddToScheme, admissionregistration.AddToScheme, disruption.AddToScheme, rbac.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	all := map[string]runtime.Object{}
	reader := yamlreader.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var any unstructured.Unstructured
		if err := yaml.Unmarshal(document, &any.Object); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		if len(any.Object) == 0 {
			continue
		}
		key := fmt.Sprintf("%s %s/%s", any.GetKind(), any.GetNamespace(), any.GetName())
		if all[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		all[key] = &any
		if any.GroupVersionKind().Group == "monitoring.coreos.com" {
			if len(any.GetLabels()) == 0 {
				any.SetLabels(nil)
			}
			continue
		}
		if all[key], _, err = decoder.Decode(document, nil, nil); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
	}
}

// kustomize returns the objects of a kustomization beside a copy of deploy, with more files.
func kustomize(t *testing.T, kustomization, configMap string) map[string]runtime.Object {
	t.Helper()
	deploy := filepath.Join(t.TempDir(), "deploy")
	if err := os.CopyFS(deploy, os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(deploy, "overlay")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		t.Fatal(err)
	}
	settings := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: irsa-sidecar}\ndata:\n" + configMap
	for name, text := range map[string]string{"kustomization.yaml": kustomization, "settings.yaml": settings} {
		if err := os.WriteFile(filepath.Join(overlay, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, string(text))
	inline(t, all)
	return all
}

// inline makes the injector of deploy/ that of the chart, which differs in three things: its
// settings are values, not a ConfigMap; it does not create its namespace; it has the Secret.
func inline(t *testing.T, all map[string]runtime.Object) {
	t.Helper()
	var settings map[string]string
	for key, object := range all {
		if o, ok := object.(*core.ConfigMap); ok && strings.HasPrefix(o.Name, "injector-settings-") {
			settings = o.Data
			delete(all, key)
		}
		if _, ok := object.(*core.Namespace); ok {
			delete(all, key)
		}
	}
	for _, object := range all {
		o, ok := object.(*apps.Deployment)
		if !ok {
			continue
		}
		all["Secret "+o.Namespace+"/"+o.Name] = &core.Secret{
			TypeMeta:   meta.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: meta.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
			Type:       core.SecretTypeOpaque,
		}
		env := o.Spec.Template.Spec.Containers[0].Env
		for i := range env {
			if env[i].ValueFrom != nil {
				env[i] = core.EnvVar{Name: env[i].Name, Value: settings[env[i].ValueFrom.ConfigMapKeyRef.Key]}
			}
		}
	}
}

// The chart's objects are those of the kustomizations, with the same settings.
func TestSameAsKustomize(t *testing.T) {
	for _, tt := range comparisons {
		t.Run(tt.name, func(t *testing.T) {
			namespace := "irsa-sidecar-injector"
			if strings.Contains(tt.kustomization, "\nnamespace: elsewhere\n") {
				namespace = "elsewhere"
			}
			text, _, err := render(t, images+tt.values, namespace, cluster{"v1.37.2", servesPolicies})
			if err != nil {
				t.Fatal(err)
			}
			got := objects(t, text)
			want := kustomize(t, tt.kustomization, tt.configMap)
			if len(want) < tt.objects {
				t.Errorf("kustomize has %d objects, want %d", len(want), tt.objects)
			}
			for key, object := range want {
				if got[key] == nil {
					t.Errorf("the chart has no %s", key)
				} else if !equality.Semantic.DeepEqual(got[key], object) {
					t.Errorf("%s is\n%s\nwant\n%s", key, asYAML(t, got[key]), asYAML(t, object))
				}
				delete(got, key)
			}
			for key := range got {
				t.Errorf("kustomize has no %s", key)
			}
		})
	}
}

func asYAML(t *testing.T, object runtime.Object) string {
	t.Helper()
	b, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExpression(t *testing.T) {
	for value, want := range map[string]string{
		"<<.a | default `b`>>":        ".a | default `b`",
		"\"100%\": <<.a>> <<int .b>>": `printf "\"100%%\": %v %v" (.a) (int .b)`,
	} {
		if got := expression(value); got != want {
			t.Errorf("%s is %s, want %s", value, got, want)
		}
	}
}

// helm lint finds nothing to warn about.
func TestLint(t *testing.T) {
	files, err := chart("v0.1.0", "registry.example.com")
	if err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(t.TempDir(), "irsa-sidecar")
	for name, content := range files {
		name = filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, message := range lint.RunAll(directory, map[string]any{"region": "eu-west-1"}, "irsa-sidecar").Messages {
		if message.Severity > support.InfoSev {
			t.Error(message)
		}
	}
}
