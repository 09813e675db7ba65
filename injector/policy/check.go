package policy

import (
	"errors"
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ofThePod makes it enough to evaluate the policy for the pod's own service account. The API
// server evaluates it for every account that a binding selects.
const ofThePod = `params.metadata.name == object.spec.?serviceAccountName.orValue("")`

// check returns an error if a policy uses what this package does not carry out.
func check(policy *admissionv1.MutatingAdmissionPolicy) error {
	spec := policy.Spec
	var problems []error
	refuse := func(field string, value any) {
		problems = append(problems, fmt.Errorf("policy %s: %s %v is not supported", policy.Name, field, value))
	}
	if spec.ParamKind == nil || *spec.ParamKind != (admissionv1.ParamKind{APIVersion: "v1", Kind: "ServiceAccount"}) {
		refuse("paramKind", spec.ParamKind)
	}
	if spec.FailurePolicy != nil && *spec.FailurePolicy != admissionv1.Fail {
		refuse("failurePolicy", *spec.FailurePolicy)
	}
	if spec.ReinvocationPolicy != "" && spec.ReinvocationPolicy != admissionv1.NeverReinvocationPolicy {
		refuse("reinvocationPolicy", spec.ReinvocationPolicy)
	}
	if constraints := spec.MatchConstraints; constraints == nil {
		refuse("a policy without", "matchConstraints")
		spec.MatchConstraints = &admissionv1.MatchResources{}
	} else if !podsAlone(constraints) {
		refuse("matchConstraints", constraints)
	}
	if len(spec.MatchConditions) == 0 || spec.MatchConditions[0].Expression != ofThePod {
		refuse("a first match condition other than", ofThePod)
	}
	for i, m := range spec.Mutations {
		if m.PatchType != admissionv1.PatchTypeJSONPatch || m.JSONPatch == nil || m.ApplyConfiguration != nil {
			refuse(fmt.Sprintf("mutations[%d].patchType", i), m.PatchType)
		}
	}
	return errors.Join(problems...)
}

// podsAlone reports whether rules select the creation of pods, and nothing else.
func podsAlone(m *admissionv1.MatchResources) bool {
	if len(m.ResourceRules) != 1 || len(m.ExcludeResourceRules) > 0 || !equivalent(m.MatchPolicy) {
		return false
	}
	rule := m.ResourceRules[0]
	if scope := rule.Scope; scope != nil && *scope != admissionv1.AllScopes && *scope != admissionv1.NamespacedScope {
		return false
	}
	rule.Scope = nil
	return reflect.DeepEqual(rule, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}})
}

// equivalent reports whether a match policy is the default. Pods have one version, so that
// another would be the same, but nothing uses it.
func equivalent(p *admissionv1.MatchPolicyType) bool {
	return p == nil || *p == admissionv1.Equivalent
}

func checkBinding(b *admissionv1.MutatingAdmissionPolicyBinding, policy string) error {
	var problems []error
	refuse := func(field string, value any) {
		problems = append(problems, fmt.Errorf("binding %s: %s %v is not supported", b.Name, field, value))
	}
	if b.Spec.PolicyName != policy {
		refuse("policyName", b.Spec.PolicyName)
	}
	if m := b.Spec.MatchResources; m != nil && (len(m.ResourceRules) > 0 || len(m.ExcludeResourceRules) > 0 || !equivalent(m.MatchPolicy)) {
		refuse("matchResources", m)
	}
	ref := b.Spec.ParamRef
	if ref == nil || ref.Selector == nil || ref.Name != "" || ref.Namespace != "" {
		refuse("paramRef", ref)
	} else if ref.ParameterNotFoundAction == nil || *ref.ParameterNotFoundAction != admissionv1.AllowAction {
		refuse("parameterNotFoundAction of", "paramRef")
	}
	return errors.Join(problems...)
}

// A scope selects pods. A selector that is nil selects all of them.
type scope struct{ namespaces, pods labels.Selector }

func newScope(namespaces, pods *metav1.LabelSelector) (s scope, err error) {
	if s.namespaces, err = selector(namespaces); err != nil {
		return scope{}, err
	}
	s.pods, err = selector(pods)
	return s, err
}

func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

func (s scope) includes(namespace *corev1.Namespace, pod labels.Set) bool {
	return s.namespaces.Matches(labels.Set(namespace.Labels)) && s.pods.Matches(pod)
}

// A binding is a scope and the service accounts to which it applies.
type binding struct {
	scope
	accounts labels.Selector
}

func newBinding(b *admissionv1.MutatingAdmissionPolicyBinding) (compiled binding, err error) {
	m := b.Spec.MatchResources
	if m == nil {
		m = &admissionv1.MatchResources{}
	}
	if compiled.scope, err = newScope(m.NamespaceSelector, m.ObjectSelector); err != nil {
		return binding{}, err
	}
	compiled.accounts, err = selector(b.Spec.ParamRef.Selector)
	return compiled, err
}
