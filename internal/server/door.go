// Package server offers credentials to the processes of a pod, over the
// protocols that AWS SDKs have spoken for years, and health and metrics to
// everybody else.
//
// A door is a listener, a guard that says who may ask, and documents, which
// render the credentials of a provider: the container credentials endpoint has
// one, the instance metadata endpoint several.
//
// What they say on the wire is what real releases of those SDKs were seen to
// need; the comments name them where a rule comes from one.
package server

import (
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// door passes on the requests that its guard does not turn away.
type door struct {
	guard   guard
	inside  http.Handler
	fail    failer
	metrics *Metrics
}

// guard says who may ask.
type guard interface {
	// check returns why r is turned away, nil if it is not.
	check(r *http.Request) *refusal
}

// NewDoor returns the handler of the container credentials endpoint: it answers
// whom guard lets in with the credentials of provider, as render writes them. It
// never answers with an error while provider has credentials.
func NewDoor(guard Guard, render Renderer, provider aws.CredentialsProvider, log *slog.Logger, metrics *Metrics) http.Handler {
	fail := failJSON(metrics)
	return &door{&guard, newDocument(render, provider, fail, log, metrics), fail, metrics}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refused := d.guard.check(r)
	if refused == nil {
		d.inside.ServeHTTP(w, r)
		return
	}
	if refused.allow != "" {
		w.Header().Set("Allow", refused.allow)
	}
	if refused.reason != "" {
		d.metrics.refused.WithLabelValues(refused.reason).Inc()
	}
	d.fail(w, refused.status, refused.code, refused.message)
}
