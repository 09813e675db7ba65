package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func load(t testing.TB) *Policy {
	t.Helper()
	p, err := LoadDirectory(dir, settings())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func podFrom(t testing.TB, manifest string) *unstructured.Unstructured {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte("apiVersion: v1\nkind: Pod\n" + manifest))
	if err != nil {
		t.Fatal(err)
	}
	pod := &unstructured.Unstructured{}
	if err := pod.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	return pod
}

func request(pod *unstructured.Unstructured) Request {
	return Request{
		Pod:       pod,
		Namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "example", Labels: map[string]string{"kubernetes.io/metadata.name": "example"}}},
		Account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: "example", Namespace: "example",
			Annotations: map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/example"},
		}},
	}
}

const labelled = `
metadata: {name: example, labels: {irsa-sidecar/inject: "true"}}
spec:
  serviceAccountName: example
  containers: [{name: app, image: app}]
`

// Who asks: the first of pod, service account and namespace that has the label decides.
func TestWhoAsks(t *testing.T) {
	p := load(t)
	for _, tt := range []struct{ pod, account, namespace, want string }{
		{"", "", "", ""},
		{"true", "", "", "pod"},
		{"true", "false", "false", "pod"},
		{"", "true", "", "service-account"},
		{"", "true", "false", "service-account"},
		{"", "", "true", "namespace"},
		{"", "false", "true", ""},
		{"false", "true", "true", ""},
		{"yes", "true", "true", ""},
	} {
		t.Run(strings.Join([]string{tt.pod, tt.account, tt.namespace}, "-"), func(t *testing.T) {
			label := func(m *metav1.ObjectMeta, value string) {
				if value != "" {
					metav1.SetMetaDataLabel(m, "irsa-sidecar/inject", value)
				}
			}
			pod := podFrom(t, strings.Replace(labelled, `, labels: {irsa-sidecar/inject: "true"}`, "", 1))
			if tt.pod != "" {
				pod.SetLabels(map[string]string{"irsa-sidecar/inject": tt.pod})
			}
			r := request(pod)
			label(&r.Account.ObjectMeta, tt.account)
			label(&r.Namespace.ObjectMeta, tt.namespace)
			after, err := p.Apply(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got := after.GetLabels()["irsa-sidecar/requested-by"]; got != tt.want {
				t.Errorf("requested by %q, want %q", got, tt.want)
			}
			if (after == pod) != (tt.want == "") {
				t.Errorf("the same pod: %t", after == pod)
			}
			again := r
			again.Pod = after
			if twice, err := p.Apply(t.Context(), again); err != nil || twice != after {
				t.Errorf("applied twice the pod changes: %v", err)
			}
		})
	}
}

// The policy can be limited to namespaces with a label.
func TestLimitedToNamespaces(t *testing.T) {
	limited := settings()
	limited["namespace-label"] = "team"
	p, err := LoadDirectory(dir, limited)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]bool{"team": true, "other": false} {
		r := request(podFrom(t, labelled))
		r.Namespace.Labels[label] = "a"
		after, err := p.Apply(t.Context(), r)
		if err != nil || (after != r.Pod) != want {
			t.Errorf("label %s: changed %t, %v", label, after != r.Pod, err)
		}
	}
}

// Every setting of the ConfigMap has its place.
func TestSettings(t *testing.T) {
	all := settings()
	maps.Copy(all, map[string]string{"cpu-request": "11m", "memory-limit": "none", "uid": "1234", "image-pull-policy": "Always", "env": "HTTPS_PROXY=http://a \"b\"\n# a comment\nA=b=c"})
	p, err := LoadDirectory(dir, all)
	if err != nil {
		t.Fatal(err)
	}
	after, err := p.Apply(t.Context(), request(podFrom(t, labelled)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cpu":"11m"`, `"runAsUser":1234`, `"runAsGroup":9911`, `"imagePullPolicy":"Always"`, `{"name":"HTTPS_PROXY","value":"http://a \"b\""}`, `{"name":"A","value":"b=c"}`} {
		if !strings.Contains(text(t, after), want) {
			t.Errorf("no %s in %s", want, text(t, after))
		}
	}
	if strings.Contains(text(t, after), `"limits":{"memory"`) {
		t.Errorf("a limit: %s", text(t, after))
	}
	all["uid"] = "nobody"
	if p, err = LoadDirectory(dir, all); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), request(podFrom(t, labelled))); err == nil || !strings.Contains(err.Error(), "uid: nobody") {
		t.Errorf("error %v", err)
	}
}

// The policy may use namespaceObject, as settings that users add do.
func TestNamespaceObject(t *testing.T) {
	const end = "// end of settings\n" // as policies of earlier versions had to be changed
	added := strings.Replace(string(documents(t)), end, end+`          {"name": "HTTPS_PROXY", "value": namespaceObject.metadata.annotations["proxy"]},`+"\n", 1)
	p, err := Load([]byte(added), complete(t))
	if err != nil {
		t.Fatal(err)
	}
	r := request(podFrom(t, labelled))
	r.Namespace.Annotations = map[string]string{"proxy": "http://proxy.example.com"}
	after, err := p.Apply(t.Context(), r)
	if err != nil || !strings.Contains(text(t, after), `{"name":"HTTPS_PROXY","value":"http://proxy.example.com"}`) {
		t.Errorf("%v: %s", err, text(t, after))
	}
	r.Namespace.Annotations = nil
	if after, err := p.Apply(t.Context(), r); err == nil {
		t.Errorf("an expression that fails is no error: %s", text(t, after))
	}
}

// What the library does not know remains, integers remain integers, and the pod that is
// passed in does not change.
func TestTheRestRemains(t *testing.T) {
	p := load(t)
	pod := podFrom(t, strings.Replace(labelled, "{name: app,", "{env: null, futureThing: {a: [1, 9007199254740993]}, name: app,", 1)+
		"  futureField: {b: 1.5, c: -9223372036854775808}\nstatus: {future: true}\n")
	before := pod.DeepCopy()
	after, err := p.Apply(t.Context(), request(pod))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(pod, before) {
		t.Errorf("the pod that is passed in is\n%s", text(t, pod))
	}
	for _, want := range []string{`"futureThing":{"a":[1,9007199254740993]}`, `"futureField":{"b":1.5,"c":-9223372036854775808}`, `"status":{"future":true}`, `"irsa-sidecar-token"`} {
		if !strings.Contains(text(t, after), want) {
			t.Errorf("no %s in %s", want, text(t, after))
		}
	}
}

// What is null is as the API server decodes it: no field, but a label is empty, and declines.
func TestNulls(t *testing.T) {
	p := load(t)
	const pod = `
metadata: {name: example, labels: {irsa-sidecar/inject: "true", team: null}, annotations: {irsa-sidecar/zone: null, irsa-sidecar/endpoints: ecs}}
spec:
  serviceAccountName: example
  nodeSelector: {kubernetes.io/os: null}
  securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: null}]}
  containers: [{name: app, image: app, env: [{name: A, value: null}], resources: {requests: {cpu: null}, limits: null}}]
`
	after, err := p.Apply(t.Context(), request(podFrom(t, pod)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"team":""`, `"irsa-sidecar/zone":""`, `"nodeSelector":{"kubernetes.io/os":""}`, `{"name":"kernel.shm_rmid_forced","value":""}`, `{"name":"A"},`, `"resources":{"requests":{"cpu":"0"}}`} {
		if !strings.Contains(text(t, after), want) {
			t.Errorf("no %s in %s", want, text(t, after))
		}
	}
	r := request(podFrom(t, strings.Replace(labelled, `"true"`, "null", 1)))
	metav1.SetMetaDataLabel(&r.Account.ObjectMeta, "irsa-sidecar/inject", "true")
	if after, err := p.Apply(t.Context(), r); err != nil || after != r.Pod {
		t.Errorf("a label that is null: %v, %s", err, text(t, after))
	}
}

func text(t testing.TB, pod *unstructured.Unstructured) string {
	t.Helper()
	b, err := json.Marshal(pod.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b))
}

func BenchmarkApply(b *testing.B) {
	p := load(b)
	r := request(podFrom(b, labelled))
	b.ReportAllocs()
	for b.Loop() {
		if after, err := p.Apply(b.Context(), r); err != nil || after == r.Pod {
			b.Fatal(err)
		}
	}
}
