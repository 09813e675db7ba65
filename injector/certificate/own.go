package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

const (
	// Names in deploy/injector, of the Secret and the Service.
	secretName = "irsa-sidecar-injector"
	// Of the MutatingWebhookConfiguration.
	configurationName = "irsa-sidecar"
	// How long the API server may go without the authority, after somebody has removed it.
	lookAgain = 5 * time.Second
	// A request to the API server that takes longer is given up.
	requestTimeout = 10 * time.Second
)

// Own is a certificate that the replicas issue themselves. Its authority is in a Secret that
// they share, and in the webhook's configuration. What is served is in memory.
type Own struct {
	core, admission rest.Interface // clients
	namespace       string
	log             *slog.Logger
	now             func() time.Time

	current atomic.Pointer[pair]
	trusted atomic.Pointer[error] // why the API server may not trust it; nil before the first look
}

// NewOwn returns the certificate of the injector in a namespace.
func NewOwn(core, admission rest.Interface, namespace string, log *slog.Logger, now func() time.Time) *Own {
	return &Own{core: core, admission: admission, namespace: namespace, log: log, now: now}
}

// GetCertificate returns the current certificate.
func (o *Own) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := o.current.Load()
	if p == nil {
		return nil, errors.New("no certificate yet")
	}
	return &p.leaf, nil
}

// Expires returns when the current certificate expires.
func (o *Own) Expires() time.Time {
	if p := o.current.Load(); p != nil {
		return p.leaf.Leaf.NotAfter
	}
	return time.Time{}
}

// Ready returns an error until there is a certificate and the API server has once been seen
// to trust its authority. A later problem with the configuration is every replica's: it would
// not help to take them all away.
func (o *Own) Ready() error {
	if _, err := o.GetCertificate(nil); err != nil {
		return err
	}
	if err := o.trusted.Load(); err == nil || *err != nil {
		return fmt.Errorf("the MutatingWebhookConfiguration %s does not have this certificate's authority yet", configurationName)
	}
	return nil
}

// Run keeps Secret, certificate and configuration in order until ctx is done.
func (o *Own) Run(ctx context.Context) error {
	var last string
	for {
		err := o.look(ctx)
		if err == nil {
			last = ""
		} else if ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			o.log.Error("certificate", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookAgain):
		}
	}
}

// look makes everything as it should be, once.
func (o *Own) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := o.lookAtSecret(ctx); err != nil {
		return fmt.Errorf("secret %s: %w", secretName, err)
	}
	err := o.trust(ctx)
	if err != nil {
		err = fmt.Errorf("configuration %s: %w", configurationName, err)
	}
	if err == nil || o.trusted.Load() == nil {
		o.trusted.Store(&err)
	}
	return err
}

// lookAtSecret takes over what is in the Secret, and writes it if it is missing or due. The
// Secret decides: a replica whose write comes too late reads it again.
func (o *Own) lookAtSecret(ctx context.Context) error {
	secret := &corev1.Secret{}
	err := o.core.Get().Namespace(o.namespace).Resource("secrets").Name(secretName).Do(ctx).Into(secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	p, err := parse(secret.Data, o.host(), o.now())
	if err == nil && !p.due(o.now()) {
		o.use(p)
		return nil
	}
	if p, err = o.next(p); err != nil {
		return err
	}
	switch err := o.write(ctx, secret, p, missing); {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err): // another replica was faster
		return o.lookAtSecret(ctx)
	case err != nil:
		return err
	}
	o.use(p)
	return nil
}

// next returns what should be in the Secret. inSecret is what is there; its authority counts,
// then that in memory, so that a Secret that was deleted comes back as it was.
func (o *Own) next(inSecret *pair) (*pair, error) {
	current := o.current.Load()
	switch {
	case inSecret != nil:
		return renew(inSecret.data, o.host(), o.now())
	case current != nil && !current.due(o.now()):
		return current, nil
	case current != nil:
		return renew(current.data, o.host(), o.now())
	}
	return newPair(o.host(), o.now())
}

// write creates or updates the Secret.
func (o *Own) write(ctx context.Context, secret *corev1.Secret, p *pair, missing bool) error {
	secret.Data = p.data
	if !missing { // its resourceVersion makes the API server refuse an update that is late
		return o.core.Put().Namespace(o.namespace).Resource("secrets").Name(secretName).Body(secret).Do(ctx).Error()
	}
	secret.ObjectMeta = metav1.ObjectMeta{Name: secretName, Namespace: o.namespace}
	secret.Type = corev1.SecretTypeOpaque
	return o.core.Post().Namespace(o.namespace).Resource("secrets").Body(secret).Do(ctx).Error()
}

func (o *Own) use(p *pair) {
	if old := o.current.Swap(p); old == nil || !old.leaf.Leaf.Equal(p.leaf.Leaf) {
		o.log.Info("certificate in use", "expires", p.leaf.Leaf.NotAfter)
	}
}

// host is the name at which the API server calls the Service.
func (o *Own) host() string { return secretName + "." + o.namespace + ".svc" }

// trust writes the authority into the webhooks of the configuration that lack it.
func (o *Own) trust(ctx context.Context) error {
	configuration := &admissionv1.MutatingWebhookConfiguration{}
	err := o.admission.Get().Resource("mutatingwebhookconfigurations").Name(configurationName).Do(ctx).Into(configuration)
	if err != nil {
		return err
	}
	type webhook struct {
		Name         string         `json:"name"`
		ClientConfig map[string]any `json:"clientConfig"`
	}
	var lacking []webhook
	authority := o.current.Load().data[authorityCert]
	for _, w := range configuration.Webhooks {
		if !bytes.Equal(w.ClientConfig.CABundle, authority) {
			lacking = append(lacking, webhook{w.Name, map[string]any{"caBundle": authority}})
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": configuration.ResourceVersion},
		"webhooks": lacking,
	})
	if err != nil {
		return err
	}
	err = o.admission.Patch(types.StrategicMergePatchType).Resource("mutatingwebhookconfigurations").Name(configurationName).Body(body).Do(ctx).Error()
	if err == nil {
		o.log.Info("authority written into the configuration", "webhooks", len(lacking))
	}
	return err
}
