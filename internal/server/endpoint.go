// Package server serves credentials to the processes of a pod, over the protocols that
// AWS SDKs have spoken for years, and health and metrics to everybody.
//
// An endpoint is a guard, which says who may ask, and what it guards: documents, which
// render the credentials of a provider. The container credentials endpoint has one
// document, the instance metadata endpoint several.
//
// What they say on the wire is what real releases of those SDKs were seen to need; the
// comments name the release that a rule comes from.
package server

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Provider is where endpoints take credentials from.
type Provider interface {
	// Retrieve may wait, as long as its context allows, for the first credentials.
	aws.CredentialsProvider

	// Current returns the credentials that there are, without waiting, or an error
	// that says why there are none.
	Current() (aws.Credentials, error)
}

// endpoint passes on the requests that its guard does not refuse.
type endpoint struct {
	clients *Clients
	guard   guard
	content http.Handler
	fail    failer
	metrics *Metrics
}

// newEndpoint returns the handler of an endpoint, whose requests are in the access log of
// clients if there is one.
func newEndpoint(guard guard, content http.Handler, clients *Clients, fail failer, metrics *Metrics) http.Handler {
	e := &endpoint{guard: guard, content: content, clients: clients, fail: fail, metrics: metrics}
	if clients.Log != nil {
		return &logged{e}
	}
	return e
}

// guard says what may be asked.
type guard interface {
	// check returns why r is refused, nil if it is not.
	check(r *http.Request) *refusal
}

// refusal is the answer to a request that a guard refuses. There is one only for a reason
// that names an attack it stops: docs/threat-model.md has them by reason.
type refusal struct {
	reason  string // the label of irsa_sidecar_requests_refused_total; empty: not counted there
	status  int
	code    string
	message string
	allow   string // the methods that are allowed, if the method was the reason
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// SDKs send no body. One that somebody could get into a request of theirs may hold
	// another request.
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	// The client comes first: who may not ask learns nothing of what is asked.
	refused := e.clients.check(r)
	if refused == nil {
		refused = e.guard.check(r)
	}
	if refused == nil {
		e.metrics.clients[sdk(r.UserAgent())].Inc()
		e.content.ServeHTTP(w, r)
		return
	}
	if refused.allow != "" {
		w.Header().Set("Allow", refused.allow)
	}
	if refused.reason != "" {
		e.metrics.refused.WithLabelValues(refused.reason).Inc()
	}
	e.fail(w, refused.status, refused.code, refused.message)
}
