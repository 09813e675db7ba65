package render

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"irsa-sidecar/injector/policy"
)

// object adds the sidecar to the pods of an object, in place. It reports whether it did.
func (s *stream) object(ctx context.Context, object map[string]any) (changed bool, err error) {
	var problems []error
	for _, item := range items(object) {
		c, err := s.object(ctx, item)
		changed = changed || c
		problems = append(problems, err)
	}
	if template := podOf(object); template != nil {
		metadata, _ := object["metadata"].(map[string]any)
		namespace, _ := metadata["namespace"].(string)
		c, err := s.template(ctx, template, namespace)
		changed = changed || c
		if err != nil {
			problems = append(problems, fmt.Errorf("%v %v: %w", object["kind"], metadata["name"], err))
		}
	}
	return changed, errors.Join(problems...)
}

// podOf returns the pod of a workload of any kind, or nil if it has none. A workload is
// what has a template with containers: a Rollout may refer to a Deployment instead.
func podOf(object map[string]any) map[string]any {
	pod := object
	if object["kind"] != "Pod" || object["apiVersion"] != "v1" {
		spec, _ := object["spec"].(map[string]any)
		if job, ok := spec["jobTemplate"].(map[string]any); ok {
			spec, _ = job["spec"].(map[string]any)
		}
		pod, _ = spec["template"].(map[string]any)
	}
	spec, _ := pod["spec"].(map[string]any)
	if containers, _ := spec["containers"].([]any); len(containers) == 0 {
		return nil
	}
	return pod
}

// template adds the sidecar to a pod template, in place, as if it were created as a pod.
func (s *stream) template(ctx context.Context, template map[string]any, namespace string) (changed bool, err error) {
	spec := maps.Clone(template["spec"].(map[string]any))
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{}, "spec": spec}}
	if metadata, ok := template["metadata"].(map[string]any); ok {
		pod.Object["metadata"] = metadata
	}
	name, _ := spec["serviceAccountName"].(string)
	if name == "" {
		// As the API server does.
		name = "default"
		if old, _ := spec["serviceAccount"].(string); old != "" {
			name = old
		}
		spec["serviceAccountName"] = name
		defer func() {
			if changed {
				delete(template["spec"].(map[string]any), "serviceAccountName")
			}
		}()
	}
	after, err := s.policy.Apply(ctx, policy.Request{
		Pod: pod, Namespace: s.namespace(namespace), Account: s.account(namespace, name),
	})
	if err != nil || after == pod {
		return false, err
	}
	if err := checkRole(after, name); err != nil {
		return false, err
	}
	template["metadata"], template["spec"] = after.Object["metadata"], after.Object["spec"]
	return true, nil
}

// checkRole returns an error if the sidecar has an empty role, because the service account is
// elsewhere. In a cluster the guard refuses such a pod.
func checkRole(pod *unstructured.Unstructured, account string) error {
	containers, _, err := unstructured.NestedSlice(pod.Object, "spec", "initContainers")
	if err != nil {
		return err
	}
	for _, c := range containers {
		container, _ := c.(map[string]any)
		env, _ := container["env"].([]any)
		for _, e := range env {
			v, _ := e.(map[string]any)
			if value, _ := v["value"].(string); container["name"] == "irsa-sidecar" && v["name"] == "AWS_ROLE_ARN" && value == "" && v["valueFrom"] == nil {
				return fmt.Errorf("no role: add the service account %s with the annotation eks.amazonaws.com/role-arn to the manifests, or set the annotation in the pod template", account)
			}
		}
	}
	return nil
}
