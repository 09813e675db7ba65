// Package policy adds the sidecar to pods as deploy/inject does, where the API server cannot:
// below Kubernetes 1.36, and in manifests. It evaluates the MutatingAdmissionPolicy itself,
// with the API server's own library, so that there is one description of what is added.
package policy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	strict "sigs.k8s.io/yaml"

	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
)

// A Policy is a compiled MutatingAdmissionPolicy with its bindings. It may be used
// concurrently.
type Policy struct {
	constraints scope // of the policy
	bindings    []binding
	compiler    *plugincel.CompositedCompiler
	matcher     matchconditions.Matcher
	patchers    []patch.Patcher
}

// Settings are those of the ConfigMap irsa-sidecar, by key. docs/install.md explains them.
type Settings map[string]string

// LoadDirectory loads policy.yaml and bindings.yaml of a directory such as deploy/inject, with
// the defaults of ../settings.
func LoadDirectory(dir string, settings Settings) (*Policy, error) {
	var documents []byte
	for _, name := range []string{"policy.yaml", "bindings.yaml"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		documents = append(append(documents, "\n---\n"...), b...)
	}
	defaults, err := os.ReadFile(filepath.Join(dir, "..", "settings", "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	all, err := withDefaults(settings, defaults)
	if err != nil {
		return nil, err
	}
	return Load(documents, all)
}

// Load compiles a policy and its bindings. It returns an error, with every problem that it
// finds, if they use a feature that this package does not carry out, if an expression does
// not compile, or if a setting has no value. Settings may also be in the policy already.
func Load(documents []byte, settings Settings) (*Policy, error) {
	object, bindings, err := decode(documents)
	if err != nil {
		return nil, err
	}
	if err := set(object, settings); err != nil {
		return nil, fmt.Errorf("policy %s: %w", object.Name, err)
	}
	p := &Policy{}
	if p.constraints, err = newScope(object.Spec.MatchConstraints.NamespaceSelector, object.Spec.MatchConstraints.ObjectSelector); err != nil {
		return nil, fmt.Errorf("policy %s: %w", object.Name, err)
	}
	for _, b := range bindings {
		compiled, err := newBinding(b)
		if err != nil {
			return nil, fmt.Errorf("binding %s: %w", b.Name, err)
		}
		p.bindings = append(p.bindings, compiled)
	}
	if err := p.compile(object); err != nil {
		return nil, fmt.Errorf("policy %s: %w", object.Name, err)
	}
	return p, nil
}

// decode returns the one policy and the bindings of documents.
func decode(documents []byte) (*admissionv1.MutatingAdmissionPolicy, []*admissionv1.MutatingAdmissionPolicyBinding, error) {
	var policy *admissionv1.MutatingAdmissionPolicy
	var bindings []*admissionv1.MutatingAdmissionPolicyBinding
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(documents)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var head *metav1.TypeMeta
		if err := errors.Join(err, strict.Unmarshal(document, &head)); err != nil {
			return nil, nil, err
		}
		switch {
		case head == nil: // comments alone
		case *head == metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicy"}:
			if policy != nil {
				return nil, nil, errors.New("more than one policy")
			}
			policy = &admissionv1.MutatingAdmissionPolicy{}
			err = strict.UnmarshalStrict(document, policy)
		case *head == metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicyBinding"}:
			binding := &admissionv1.MutatingAdmissionPolicyBinding{}
			bindings = append(bindings, binding)
			err = strict.UnmarshalStrict(document, binding)
		default:
			err = fmt.Errorf("%s %s is neither a policy nor a binding", head.APIVersion, head.Kind)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if policy == nil || len(bindings) == 0 {
		return nil, nil, errors.New("no policy, or no binding, which would change no pod")
	}
	problems := []error{check(policy)}
	for _, b := range bindings {
		problems = append(problems, checkBinding(b, policy.Name))
	}
	return policy, bindings, errors.Join(problems...)
}
