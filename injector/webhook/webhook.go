// Package webhook answers the API server's questions about pods that are being created.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apiserver/pkg/authentication/user"

	"irsa-sidecar/injector/policy"
)

const (
	// The API server accepts objects of 3 MiB, and a review contains little else.
	mostBytes = 8 << 20
	// Less than the time-outs of both webhooks in deploy/injector, so that a refusal says
	// what was too slow.
	lookUpTimeout = 1500 * time.Millisecond
)

// Objects looks up what a policy needs, apart from the pod.
type Objects interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	Namespace(ctx context.Context, name string) (*corev1.Namespace, error)
}

// Handler returns the webhook. It adds the sidecar to pods that ask for it. An error is a
// refusal that says why, never a pod without the sidecar.
func Handler(p *policy.Policy, objects Objects, m *Metrics, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		review, err := read(w, r)
		if err != nil {
			m.observe(refused, time.Since(start))
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response, result := answer(r.Context(), p, objects, review.Request)
		m.observe(result, time.Since(start))
		if result == refused {
			log.Warn("pod refused", "namespace", review.Request.Namespace, "pod", podName(review.Request), "error", response.Result.Message)
		}
		review.Request, review.Response = nil, response
		b, err := json.Marshal(review)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	})
}

func read(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("the method is %s: this is an admission webhook", r.Method)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	if err != nil {
		return nil, err
	}
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, review); err != nil {
		return nil, err
	}
	if review.APIVersion != admissionv1.SchemeGroupVersion.String() || review.Kind != "AdmissionReview" || review.Request == nil {
		return nil, fmt.Errorf("a %s %s, not a request of %s", review.APIVersion, review.Kind, admissionv1.SchemeGroupVersion)
	}
	return review, nil
}

func answer(ctx context.Context, p *policy.Policy, objects Objects, r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, result) {
	patch, err := mutate(ctx, p, objects, r)
	if err != nil {
		return &admissionv1.AdmissionResponse{UID: r.UID, Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
			Message: "irsa-sidecar cannot be added to the pod: " + err.Error(),
		}}, refused
	}
	if patch == nil {
		return &admissionv1.AdmissionResponse{UID: r.UID, Allowed: true}, unchanged
	}
	return &admissionv1.AdmissionResponse{UID: r.UID, Allowed: true, Patch: patch, PatchType: new(admissionv1.PatchTypeJSONPatch)}, injected
}

// mutate returns the patch for the pod of a request, or nil if the pod stays as it is.
func mutate(ctx context.Context, p *policy.Policy, objects Objects, r *admissionv1.AdmissionRequest) ([]byte, error) {
	if r.Kind != (metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}) || r.SubResource != "" || r.Operation != admissionv1.Create {
		return nil, fmt.Errorf("%s of %s %s: the webhook is for the creation of pods alone: see its rules in the MutatingWebhookConfiguration", r.Operation, r.Kind.Kind, r.SubResource)
	}
	// Its decoder keeps integers, and fields that this program does not know.
	pod := &unstructured.Unstructured{}
	if err := pod.UnmarshalJSON(r.Object.Raw); err != nil {
		return nil, err
	}
	if kind := pod.GroupVersionKind(); kind != corev1.SchemeGroupVersion.WithKind("Pod") {
		return nil, fmt.Errorf("the object is %q, not a pod", kind)
	}
	name, _, err := unstructured.NestedString(pod.Object, "spec", "serviceAccountName")
	if err != nil || name == "" { // the kubelet's mirror pods have none
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	account, err := objects.ServiceAccount(ctx, r.Namespace, name)
	if err != nil {
		return nil, fmt.Errorf("looking up its service account: %w", err)
	}
	namespace, err := objects.Namespace(ctx, r.Namespace)
	if err != nil {
		return nil, fmt.Errorf("looking up its namespace: %w", err)
	}
	after, err := p.Apply(ctx, policy.Request{
		Pod: pod, Namespace: namespace, Account: account, User: userOf(r.UserInfo), DryRun: r.DryRun != nil && *r.DryRun,
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the policy took longer than %s", lookUpTimeout)
	}
	if err != nil || after == pod {
		return nil, err
	}
	return patch(pod.Object, after.Object)
}

func userOf(info authenticationv1.UserInfo) user.Info {
	extra := map[string][]string{}
	for key, values := range info.Extra {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: info.Username, UID: info.UID, Groups: info.Groups, Extra: extra}
}

// podName returns a name for the log. The API server has not generated one yet.
func podName(r *admissionv1.AdmissionRequest) string {
	var pod metav1.PartialObjectMetadata
	if err := json.Unmarshal(r.Object.Raw, &pod); err == nil && pod.Name == "" {
		return pod.GenerateName
	}
	return r.Name
}
