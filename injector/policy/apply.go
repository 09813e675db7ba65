package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

var (
	pods     = corev1.SchemeGroupVersion.WithResource("pods")
	podsKind = corev1.SchemeGroupVersion.WithKind("Pod")
)

// compile compiles all expressions. The API server keeps errors until a pod is created.
func (p *Policy) compile(policy *admissionv1.MutatingAdmissionPolicy) (err error) {
	p.compiler, err = plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return err
	}
	options := plugincel.OptionalVariableDeclarations{HasParams: true, HasAuthorizer: true}
	for _, v := range policy.Spec.Variables {
		if result := p.compiler.CompileAndStoreVariable(variable(v), options, environment.NewExpressions); result.Error != nil {
			return fmt.Errorf("variable %s: %w", v.Name, result.Error)
		}
	}
	var conditions []plugincel.ExpressionAccessor
	for _, c := range policy.Spec.MatchConditions {
		conditions = append(conditions, new(matchconditions.MatchCondition(c)))
	}
	compiled := p.compiler.CompileCondition(conditions, options, environment.NewExpressions)
	if errs := compiled.CompilationErrors(); len(errs) > 0 {
		return fmt.Errorf("match conditions: %w", errs[0])
	}
	p.matcher = matchconditions.NewMatcher(compiled, policy.Spec.FailurePolicy, "policy", "mutate", policy.Name)
	options.HasPatchTypes = true
	for i, m := range policy.Spec.Mutations {
		evaluator := p.compiler.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, options, environment.NewExpressions)
		if errs := evaluator.CompilationErrors(); len(errs) > 0 {
			return fmt.Errorf("mutation %d: %w", i, errs[0])
		}
		p.patchers = append(p.patchers, patch.NewJSONPatcher(evaluator))
	}
	return nil
}

// Request is a pod that is about to be created. The account is the pod's own.
type Request struct {
	Pod       *unstructured.Unstructured
	Namespace *corev1.Namespace
	Account   *corev1.ServiceAccount
	User      user.Info // nil in a manifest
	DryRun    bool
}

// Apply returns what becomes of a pod, which it does not change: the pod itself if the policy
// leaves it alone.
func (p *Policy) Apply(ctx context.Context, r Request) (*unstructured.Unstructured, error) {
	if r.User == nil {
		r.User = &user.DefaultInfo{}
	}
	// The policy may look into fields that are null, as manifests have them. The API server
	// has removed them when it evaluates a policy.
	before := &unstructured.Unstructured{Object: withoutNulls(r.Pod.Object, "").(map[string]any)}
	name := cmp.Or(before.GetName(), before.GetGenerateName())
	attributes := admission.NewAttributesRecord(before, nil, podsKind, r.Namespace.Name, name, pods, "", admission.Create, nil, r.DryRun, r.User)
	versioned, err := admission.NewVersionedAttributes(attributes, podsKind, asTheyAre{})
	if err != nil {
		return nil, err
	}
	for _, b := range p.bindings {
		current := labels.Set(versioned.VersionedObject.Object().(*unstructured.Unstructured).GetLabels())
		if !p.constraints.includes(r.Namespace, current) || !b.includes(r.Namespace, current) || !b.accounts.Matches(labels.Set(r.Account.Labels)) {
			continue
		}
		if err := p.mutate(ctx, versioned, r); err != nil {
			return nil, err
		}
	}
	after := versioned.VersionedObject.Object().(*unstructured.Unstructured)
	if equality.Semantic.DeepEqual(before.Object, after.Object) {
		return r.Pod, nil
	}
	return after, nil
}

// mutate evaluates the policy for one binding.
func (p *Policy) mutate(ctx context.Context, versioned *admission.VersionedAttributes, r Request) error {
	ctx = p.compiler.CreateContext(ctx)
	result := p.matcher.Match(ctx, versioned, r.Account, nobody{})
	if result.Error != nil || !result.Matches {
		return result.Error
	}
	for i, patcher := range p.patchers {
		patched, err := patcher.Patch(ctx, patch.Request{
			MatchedResource:     pods,
			VersionedAttributes: versioned,
			ObjectInterfaces:    asTheyAre{},
			OptionalVariables:   plugincel.OptionalVariableBindings{VersionedParams: r.Account, Authorizer: nobody{}},
			Namespace:           r.Namespace,
		}, celconfig.RuntimeCELCostBudget)
		if err != nil {
			return fmt.Errorf("mutation %d of the policy: %w", i, withoutExpression(err))
		}
		versioned.UpdateObject(patched)
	}
	return nil
}

// withoutExpression shortens an error of the library, which quotes the expression, pages long.
func withoutExpression(err error) error {
	if _, reason, ok := strings.Cut(err.Error(), "resulted in error: "); ok {
		return errors.New(reason)
	}
	return err
}

// withoutNulls returns a copy of v without keys whose value is null. In a map whose keys are
// the user's, such as labels, they have the value that the API server's decoder gives them.
func withoutNulls(v any, parent string) any {
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for key, value := range v {
			if value != nil {
				kept[key] = withoutNulls(value, key)
			} else if zero, ok := zeros[parent]; ok {
				kept[key] = zero
			}
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, value := range v {
			kept[i] = withoutNulls(value, "")
		}
		return kept
	}
	return v
}

// zeros are the values of nulls in maps of these names: of text, and of quantities.
var zeros = map[string]string{
	"labels": "", "matchLabels": "", "annotations": "", "nodeSelector": "", "volumeAttributes": "", "options": "",
	"requests": "0", "limits": "0", "overhead": "0",
}
