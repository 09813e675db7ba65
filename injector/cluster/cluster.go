// Package cluster reads service accounts and namespaces. A generated client for all of
// Kubernetes would double the program's size.
package cluster

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Client returns a client for one group of the API server's: "" or admissionregistration.k8s.io.
func Client(config *rest.Config, group string) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	version := schema.GroupVersion{Group: group, Version: "v1"}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &version, "/apis"
	if group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// A burst of pods whose accounts are new must not wait for this program itself.
	config.QPS = -1
	config.UserAgent = "irsa-sidecar-injector"
	return rest.RESTClientFor(config)
}

// Objects are the service accounts and namespaces of a cluster.
type Objects struct {
	client               rest.Interface
	accounts, namespaces *store
	log                  *slog.Logger
}

// NewObjects returns objects that are empty until Run.
func NewObjects(client rest.Interface, log *slog.Logger) *Objects {
	return &Objects{client, newStore(), newStore(), log}
}

// Run keeps them up to date until ctx is done.
func (o *Objects) Run(ctx context.Context) error {
	logger := logr.FromSlogHandler(o.log.Handler())
	done := make(chan struct{})
	for _, s := range []struct {
		resource string
		example  runtime.Object
		store    *store
	}{{"serviceaccounts", &corev1.ServiceAccount{}, o.accounts}, {"namespaces", &corev1.Namespace{}, o.namespaces}} {
		watch := cache.NewListWatchFromClient(o.client, s.resource, metav1.NamespaceAll, fields.Everything())
		reflector := cache.NewReflectorWithOptions(watch, s.example, s.store, cache.ReflectorOptions{Name: s.resource, Logger: &logger})
		go func() {
			reflector.RunWithContext(ctx)
			done <- struct{}{}
		}()
	}
	<-done
	<-done
	return nil
}

// Synced reports whether all of them have been read once.
func (o *Objects) Synced() bool { return o.accounts.synced.Load() && o.namespaces.synced.Load() }

// Accounts returns how many service accounts there are.
func (o *Objects) Accounts() int { return len(o.accounts.ListKeys()) }

// ServiceAccount returns a service account. One that was created a moment ago is asked for.
func (o *Objects) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(ctx, o.accounts, o.client, "serviceaccounts", namespace, name, &corev1.ServiceAccount{})
}

// Namespace returns a namespace, and asks for one that was created a moment ago.
func (o *Objects) Namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get(ctx, o.namespaces, o.client, "namespaces", "", name, &corev1.Namespace{})
}

func get[T runtime.Object](ctx context.Context, s *store, client rest.Interface, resource, namespace, name string, into T) (T, error) {
	found, ok, err := s.GetByKey(cache.NewObjectName(namespace, name).String())
	if ok && err == nil {
		return found.(T), nil
	}
	err = client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).Name(name).Do(ctx).Into(into)
	if err != nil && !apierrors.IsNotFound(err) {
		err = fmt.Errorf("the API server: %w", err)
	}
	return into, err
}
