// Package render adds the sidecar to manifests, for clusters that cannot, and for workloads
// that kustomize cannot change.
package render

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"irsa-sidecar/injector/policy"
)

// Render returns manifests with the sidecar in the pods of every workload that asks for it:
// by the label of its pods, of their service account, or of their namespace, as far as those
// are among the manifests. Documents that do not change are returned byte for byte. Of the
// others the comments before the first field remain.
func Render(ctx context.Context, p *policy.Policy, manifests []byte) ([]byte, error) {
	documents := split(manifests)
	s := &stream{policy: p}
	objects := make([]map[string]any, len(documents))
	for i, d := range documents {
		if err := unmarshal(d, &objects[i]); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if err := s.collect(objects[i]); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	var problems []error
	for i, o := range objects {
		changed, err := s.object(ctx, o)
		problems = append(problems, err)
		if !changed || err != nil {
			continue
		}
		if documents[i], err = marshal(o, documents[i]); err != nil {
			return nil, err
		}
	}
	return bytes.Join(documents, nil), errors.Join(problems...)
}

var (
	separator = regexp.MustCompile(`(?m)^---(?:[ \t].*)?\r?$\n?`)
	comments  = regexp.MustCompile(`\A(?:---.*\r?\n|[ \t]*#.*\r?\n|[ \t]*\r?\n)*`)
)

// split returns the documents, each with the separator before it.
func split(manifests []byte) (documents [][]byte) {
	start := 0
	for _, match := range separator.FindAllIndex(manifests, -1) {
		documents = append(documents, manifests[start:match[0]])
		start = match[0]
	}
	return append(documents, manifests[start:])
}

// unmarshal decodes a document as the API server would: integers remain integers.
func unmarshal(document []byte, object *map[string]any) error {
	b, err := yaml.YAMLToJSON(document)
	if err != nil {
		return err
	}
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	u := &unstructured.Unstructured{}
	if b[0] != '{' || json.Unmarshal(b, &metav1.TypeMeta{}) != nil {
		return errors.New("not an object")
	}
	// The decoder of unstructured objects wants a kind.
	err = u.UnmarshalJSON(append([]byte(`{"object":`), append(b, `,"kind":"Document"}`...)...))
	if err != nil {
		return err
	}
	*object, _ = u.Object["object"].(map[string]any)
	return nil
}

// marshal returns an object in place of a document.
func marshal(object map[string]any, document []byte) ([]byte, error) {
	head := comments.Find(document)
	rest := bytes.TrimPrefix(document, head)
	if bytes.HasPrefix(rest, []byte("{")) {
		b, err := json.MarshalIndent(object, "", "  ")
		return append(bytes.Clone(head), append(b, '\n')...), err
	}
	b, err := yaml.Marshal(object)
	return append(bytes.Clone(head), b...), err
}

// stream is what the manifests say about accounts and namespaces.
type stream struct {
	policy     *policy.Policy
	accounts   []*corev1.ServiceAccount
	namespaces []*corev1.Namespace
}

// collect remembers service accounts and namespaces, also those in lists.
func (s *stream) collect(object map[string]any) error {
	for _, item := range items(object) {
		if err := s.collect(item); err != nil {
			return err
		}
	}
	if object["apiVersion"] != "v1" {
		return nil
	}
	switch object["kind"] {
	case "ServiceAccount":
		account := &corev1.ServiceAccount{}
		s.accounts = append(s.accounts, account)
		return runtime.DefaultUnstructuredConverter.FromUnstructured(object, account)
	case "Namespace":
		namespace := &corev1.Namespace{}
		s.namespaces = append(s.namespaces, namespace)
		return runtime.DefaultUnstructuredConverter.FromUnstructured(object, namespace)
	}
	return nil
}

// items returns the objects of a list.
func items(object map[string]any) (objects []map[string]any) {
	list, _ := object["items"].([]any)
	for _, item := range list {
		if o, ok := item.(map[string]any); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// account returns the service account of a pod. Charts name the namespace in some objects
// and not in others, so one that is missing is any. An account that is not among the
// manifests has neither labels nor annotations.
func (s *stream) account(namespace, name string) *corev1.ServiceAccount {
	for _, a := range s.accounts {
		if a.Name == name && (a.Namespace == namespace || a.Namespace == "" || namespace == "") {
			return a
		}
	}
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
}

// namespace returns a namespace with the label that the API server adds.
func (s *stream) namespace(name string) *corev1.Namespace {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cmp.Or(name, "default")}}
	for _, n := range s.namespaces {
		if n.Name == name {
			namespace = n
		}
	}
	metav1.SetMetaDataLabel(&namespace.ObjectMeta, "kubernetes.io/metadata.name", namespace.Name)
	return namespace
}
