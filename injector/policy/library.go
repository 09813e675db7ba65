package policy

import (
	"context"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// variable is a variable as the compiler wants it.
type variable admissionv1.Variable

func (v variable) GetExpression() string      { return v.Expression }
func (v variable) GetName() string            { return v.Name }
func (v variable) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType, celgo.DynType} }

// nobody is an authorizer for expressions that ask for one. None of the policy does.
type nobody struct{}

func (nobody) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", nil
}

// asTheyAre converts and defaults nothing, so that fields that are newer than this library
// remain. The API server sets defaults afterwards.
type asTheyAre struct{}

func (asTheyAre) GetObjectCreater() runtime.ObjectCreater {
	return unstructuredscheme.NewUnstructuredCreator()
}
func (asTheyAre) GetObjectTyper() runtime.ObjectTyper {
	return unstructuredscheme.NewUnstructuredObjectTyper()
}
func (asTheyAre) GetObjectDefaulter() runtime.ObjectDefaulter                   { return asTheyAre{} }
func (asTheyAre) GetObjectConvertor() runtime.ObjectConvertor                   { return nil }
func (asTheyAre) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return nil }
func (asTheyAre) Default(runtime.Object)                                        {}
