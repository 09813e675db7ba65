// Package server offers credentials to the processes of a pod, over the
// container credentials protocol that AWS SDKs have spoken for years, and
// health and metrics to everybody else.
//
// What it says on the wire is what twenty releases of those SDKs were seen to
// need; the comments name them where a rule comes from one.
package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// holdTime is how long a request may wait for the very first credentials:
	// the SDKs for JavaScript, Java 2, PHP, Ruby and C++ give up after 1 s,
	// and a busy node eats a part of that.
	holdTime = 500 * time.Millisecond

	// largestBody is what the AWS C runtime accepts, in bytes (aws-c-auth,
	// credentials_provider_ecs.c).
	largestBody = 10_000
)

// door answers with credentials.
type door struct {
	guard    Guard
	render   Renderer
	provider aws.CredentialsProvider
	log      *slog.Logger
	metrics  *Metrics
	ended    context.Context // asks the provider for what is there now
	last     atomic.Pointer[rendered]
}

// rendered is the answer for one set of credentials.
type rendered struct {
	credentials aws.Credentials
	header      http.Header // copied for each answer, its values are shared
	body        []byte
}

// NewDoor returns a handler that answers whom guard lets in with the
// credentials of provider, as render writes them. It never answers with an
// error while provider has credentials.
func NewDoor(guard Guard, render Renderer, provider aws.CredentialsProvider, log *slog.Logger, metrics *Metrics) http.Handler {
	ended, end := context.WithCancel(context.Background())
	end()
	return &door{guard: guard, render: render, provider: provider, log: log, metrics: metrics, ended: ended}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refused := d.guard.check(r); refused != nil {
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD")
		}
		d.metrics.refused.WithLabelValues(refused.reason).Inc()
		d.fail(w, refused.status, refused.code, refused.message)
		return
	}
	credentials, err := d.retrieve(r.Context())
	if err != nil {
		// Lets the SDK for JavaScript 2 try for 7 s instead of 1 s.
		w.Header().Set("Retry-After", "2")
		d.fail(w, http.StatusServiceUnavailable, "CredentialsUnavailable", err.Error())
		return
	}
	answer := d.answer(credentials)
	d.metrics.ok.Inc()
	maps.Copy(w.Header(), answer.header)
	w.Write(answer.body)
}

// retrieve returns the credentials at hand, or waits for the very first ones.
func (d *door) retrieve(ctx context.Context) (aws.Credentials, error) {
	// Without a timer, which would cost more than the rest of the answer.
	if credentials, err := d.provider.Retrieve(d.ended); err == nil {
		return credentials, nil
	}
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	return d.provider.Retrieve(ctx)
}

// answer renders credentials once for all requests until the next refresh.
func (d *door) answer(credentials aws.Credentials) *rendered {
	if last := d.last.Load(); last != nil && last.credentials == credentials {
		return last
	}
	body := d.render(credentials)
	if len(body) > largestBody {
		d.log.Warn("answer is too large for clients with the AWS C runtime", "bytes", len(body), "most", largestBody,
			"hint", "a shorter session policy or fewer session tags make the session token shorter")
	}
	fresh := &rendered{credentials, header(body), body}
	d.last.Store(fresh)
	return fresh
}

// fail answers with an error. The keys are in lower case because the SDKs for
// Go hide any other body behind a SerializationError
// (aws-sdk-go, aws/credentials/endpointcreds).
func (d *door) fail(w http.ResponseWriter, status int, code, message string) {
	d.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	body, _ := json.Marshal(struct { // two strings always can be marshalled
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
	maps.Copy(w.Header(), header(body))
	w.WriteHeader(status)
	w.Write(body)
}

// header returns the headers of an answer with that body. A Content-Length
// keeps net/http from sending it in chunks.
func header(body []byte) http.Header {
	return http.Header{
		"Content-Type":   {"application/json"},
		"Cache-Control":  {"no-store"},
		"Content-Length": {strconv.Itoa(len(body))},
	}
}
