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
	"strconv"
	"strings"

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

// Settings are the variables of the policy that deploy/inject/settings sets. One that is nil
// remains as the policy has it.
type Settings struct {
	Image  *string
	Region *string // "" is the region of the node
}

// LoadDirectory loads policy.yaml and bindings.yaml of a directory such as deploy/inject.
func LoadDirectory(dir string, settings Settings) (*Policy, error) {
	var documents []byte
	for _, name := range []string{"policy.yaml", "bindings.yaml"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		documents = append(append(documents, "\n---\n"...), b...)
	}
	return Load(documents, settings)
}

// Load compiles a policy and its bindings. It returns an error, with every problem that it
// finds, if they use a feature that this package does not carry out, if an expression does
// not compile, or if the image or the region is not set.
func Load(documents []byte, settings Settings) (*Policy, error) {
	object, bindings, err := decode(documents)
	if err != nil {
		return nil, err
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
	if err := errors.Join(set(object, "image", settings.Image), set(object, "region", settings.Region)); err != nil {
		return nil, fmt.Errorf("policy %s: %w", object.Name, err)
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

// set sets a variable whose expression is a string literal, like the replacement in
// deploy/inject/settings. "IMAGE" and "REGION" are what the policy has before.
func set(policy *admissionv1.MutatingAdmissionPolicy, name string, value *string) error {
	for i, v := range policy.Spec.Variables {
		if v.Name != name {
			continue
		}
		literal, err := strconv.Unquote(v.Expression)
		if err != nil {
			return fmt.Errorf("variable %s is %s, not a string", name, v.Expression)
		}
		if value != nil {
			literal = *value
			policy.Spec.Variables[i].Expression = strconv.Quote(literal)
		}
		switch {
		case literal == strings.ToUpper(name):
			return fmt.Errorf("no %s is set", name)
		case strings.ContainsAny(literal, "\"\\\n ") || name == "image" && literal == "":
			return fmt.Errorf("the %s is %q", name, literal)
		}
		return nil
	}
	return fmt.Errorf("no variable %s", name)
}
