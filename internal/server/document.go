package server

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// holdTime is how long a request may wait for the very first credentials:
	// the SDKs for JavaScript, Java 2, PHP, Ruby and C++ give up after 1 s,
	// and a busy node takes a part of that.
	holdTime = 500 * time.Millisecond

	// largestBody is what the AWS C runtime accepts, in bytes (aws-c-auth,
	// credentials_provider_ecs.c).
	largestBody = 10_000
)

// document answers with the credentials of a provider, as render writes them.
type document struct {
	render   Renderer
	provider Provider
	fail     failer
	log      *slog.Logger
	metrics  *Metrics
	last     atomic.Pointer[rendered]
}

// rendered is the answer for one set of credentials.
type rendered struct {
	credentials aws.Credentials
	header      http.Header // copied for each answer, its values are shared
	body        []byte
}

func newDocument(render Renderer, provider Provider, fail failer, log *slog.Logger, metrics *Metrics) *document {
	return &document{render: render, provider: provider, fail: fail, log: log, metrics: metrics}
}

func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	credentials, err := d.retrieve(r.Context())
	if err != nil {
		// Makes the SDK for JavaScript 2 try for 7 s instead of 1 s.
		w.Header().Set("Retry-After", "2")
		d.fail(w, http.StatusServiceUnavailable, "CredentialsUnavailable", err.Error())
		return
	}
	answer := d.answer(credentials)
	d.metrics.ok.Inc()
	maps.Copy(w.Header(), answer.header)
	w.Write(answer.body)
}

// retrieve returns the current credentials, or waits for the very first ones.
func (d *document) retrieve(ctx context.Context) (aws.Credentials, error) {
	// Without a timer, which would cost more than the rest of the answer.
	if credentials, err := d.provider.Current(); err == nil {
		return credentials, nil
	}
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	return d.provider.Retrieve(ctx)
}

// answer renders credentials once for all requests until the next refresh.
func (d *document) answer(credentials aws.Credentials) *rendered {
	if last := d.last.Load(); last != nil && last.credentials == credentials {
		return last
	}
	body := d.render(credentials)
	if len(body) > largestBody {
		d.log.Warn("answer is too large for clients with the AWS C runtime", "bytes", len(body), "limit", largestBody,
			"hint", "shorten the session policy or use fewer session tags: both make the session token longer")
	}
	fresh := &rendered{credentials: credentials, header: header("application/json", body), body: body}
	d.last.Store(fresh)
	return fresh
}
