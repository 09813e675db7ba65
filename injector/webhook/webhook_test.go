package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"irsa-sidecar/injector/policy"
)

// fake is a cluster with one account in one namespace.
type fake struct{ account, namespace error }

func (f fake) ServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace,
		Annotations: map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/example"}}}, f.account
}

func (f fake) Namespace(_ context.Context, name string) (*corev1.Namespace, error) {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}}}, f.namespace
}

// ask sends a review of a pod's creation, and returns the answer.
func ask(t *testing.T, objects Objects, body string) (*httptest.ResponseRecorder, *admissionv1.AdmissionResponse, *prometheus.Registry) {
	t.Helper()
	p, err := policy.LoadDirectory("../../deploy/inject", policy.Settings{"image": "image", "region": "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	w := httptest.NewRecorder()
	handler := Handler(p, objects, NewMetrics(reg), slog.New(slog.DiscardHandler))
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/inject", strings.NewReader(body)))
	var review admissionv1.AdmissionReview
	if w.Code == http.StatusOK {
		if err := json.NewDecoder(w.Body).Decode(&review); err != nil {
			t.Fatal(err)
		}
		if review.Kind != "AdmissionReview" || review.Response == nil || review.Response.UID != "some-uid" || review.Request != nil {
			t.Fatalf("%+v", review)
		}
	}
	return w, review.Response, reg
}

func reviewOf(pod string) string {
	return fmt.Sprintf(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "some-uid", "operation": "CREATE",
"kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "example", "userInfo": {"username": "someone"}, "object": %s}}`, pod)
}

const asking = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "example-", "creationTimestamp": null, "labels": {"irsa-sidecar/inject": "true", "a/b~c": "d"}},
"spec": {"futureField": 9007199254740993, "serviceAccountName": "example", "containers": [{"name": "app", "image": "app"}]}, "status": {}}`

func TestInjects(t *testing.T) {
	_, response, reg := ask(t, fake{}, reviewOf(asking))
	if !response.Allowed || response.PatchType == nil || *response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("%+v", response)
	}
	decoded, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	after, err := decoded.Apply([]byte(asking))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"irsa-sidecar-token"`, `"futureField":9007199254740993`, `"restartPolicy":"Always"`, `"a/b~c":"d"`, `role/example`} {
		if !strings.Contains(string(after), want) {
			t.Errorf("no %s in %s", want, after)
		}
	}
	if strings.Contains(string(response.Patch), "futureField") {
		t.Errorf("the patch has fields that do not change: %s", response.Patch)
	}
	check(t, reg, `irsa_sidecar_injector_requests_total{result="injected"} 1`)
}

func TestUnchanged(t *testing.T) {
	for name, pod := range map[string]string{
		"not asking": strings.Replace(asking, "true", "false", 1),
		"mirror pod": strings.Replace(asking, `"serviceAccountName": "example", `, "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, response, reg := ask(t, fake{}, reviewOf(pod))
			if !response.Allowed || response.Patch != nil || response.PatchType != nil {
				t.Errorf("%+v", response)
			}
			check(t, reg, `irsa_sidecar_injector_requests_total{result="unchanged"} 1`)
		})
	}
}

// An error is a refusal that says why.
func TestRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects fake
		body    string
		want    string
	}{
		{"no account", fake{account: errors.New(`serviceaccounts "example" not found`)}, reviewOf(asking), `irsa-sidecar cannot be added to the pod: looking up its service account: serviceaccounts "example" not found`},
		{"no namespace", fake{namespace: errors.New("the API server: timeout")}, reviewOf(asking), "irsa-sidecar cannot be added to the pod: looking up its namespace: the API server: timeout"},
		{"an expression fails", fake{}, reviewOf(strings.Replace(asking, `"image": "app"`, `"env": "text"`, 1)), "irsa-sidecar cannot be added to the pod: mutation 1 of the policy: "},
		{"an update", fake{}, strings.Replace(reviewOf(asking), "CREATE", "UPDATE", 1), "irsa-sidecar cannot be added to the pod: UPDATE of Pod : the webhook is for the creation of pods alone"},
		{"another kind", fake{}, strings.Replace(reviewOf(asking), `"kind": "Pod"}`, `"kind": "Deployment"}`, 1), "irsa-sidecar cannot be added to the pod: CREATE of Deployment "},
		{"another object", fake{}, reviewOf(strings.Replace(asking, `"v1"`, `"v2"`, 1)), `irsa-sidecar cannot be added to the pod: the object is "/v2, Kind=Pod", not a pod`},
		{"no object", fake{}, reviewOf("{}"), "irsa-sidecar cannot be added to the pod: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, response, reg := ask(t, tt.objects, tt.body)
			if response.Allowed || response.Result == nil || response.Result.Code != http.StatusUnprocessableEntity || !strings.HasPrefix(response.Result.Message, tt.want) {
				t.Errorf("%+v", response)
			}
			check(t, reg, `irsa_sidecar_injector_requests_total{result="refused"} 1`)
		})
	}
}

// What is no review is no answer either; the API server then does what failurePolicy says.
func TestBadRequests(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":         "",
		"another version": strings.Replace(reviewOf(asking), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1),
		"no request":      `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`,
		"too large":       strings.Repeat(" ", mostBytes) + reviewOf(asking),
	} {
		t.Run(name, func(t *testing.T) {
			if w, _, _ := ask(t, fake{}, body); w.Code != http.StatusBadRequest {
				b, _ := io.ReadAll(w.Body)
				t.Errorf("status %d: %s", w.Code, b)
			}
		})
	}
}

// The patch makes after of before, and names only what changes.
func TestPatch(t *testing.T) {
	object := func(text string) (o map[string]any) {
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, tt := range []struct{ name, before, after, want string }{
		{"nothing", `{"metadata":{"a":1},"spec":{}}`, `{"metadata":{"a":1},"spec":{}}`, `[]`},
		{"a field", `{"metadata":{},"spec":{"a":1,"b":[]}}`, `{"metadata":{},"spec":{"a":2,"b":[]}}`, `[{"op":"add","path":"/spec/a","value":2}]`},
		{"a new one", `{"metadata":{},"spec":{}}`, `{"metadata":{"x/y~z":{}},"spec":{}}`, `[{"op":"add","path":"/metadata/x~1y~0z","value":{}}]`},
		{"one less", `{"metadata":{},"spec":{"a":1}}`, `{"metadata":{},"spec":{}}`, `[{"op":"remove","path":"/spec/a"}]`},
		{"null", `{"metadata":{"t":null},"spec":{}}`, `{"metadata":{},"spec":{}}`, `[]`},
		{"false", `{"metadata":{},"spec":{"a":true}}`, `{"metadata":{},"spec":{"a":false}}`, `[{"op":"add","path":"/spec/a","value":false}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := patch(object(tt.before), object(tt.after))
			if err != nil || string(got) != tt.want {
				t.Fatalf("%s, %v; want %s", got, err, tt.want)
			}
			decoded, err := jsonpatch.DecodePatch(got)
			if err != nil {
				t.Fatal(err)
			}
			applied, err := decoded.Apply([]byte(tt.before))
			// A field that is null is as good as none.
			if got := object(strings.Replace(string(applied), `"t":null`, "", 1)); err != nil || !reflect.DeepEqual(got, object(tt.after)) {
				t.Errorf("applied: %s, %v", applied, err)
			}
		})
	}
}

func check(t *testing.T, reg *prometheus.Registry, line string) {
	t.Helper()
	got, err := testutil.CollectAndFormat(reg, expfmt.TypeTextPlain, "irsa_sidecar_injector_requests_total")
	if err != nil || !strings.Contains(string(got), line+"\n") {
		t.Errorf("metrics\n%s%v\nwant %s", got, err, line)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
