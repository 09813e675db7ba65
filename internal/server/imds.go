package server

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	sessionPath  = "/latest/api/token"
	metadataPath = "/latest/meta-data/"
)

// NewInstanceEndpoint returns the handler of the instance metadata endpoint, version 2
// and, if instance says so, version 1: the credentials of provider as those of an
// instance's role, what instance says, and nothing else. It never contacts a real instance
// metadata service.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//
// It never answers a request for the credentials with an error while provider has some.
func NewInstanceEndpoint(instance Instance, clients Clients, provider Provider, log *slog.Logger, metrics *Metrics) http.Handler {
	fail := failText(metrics)
	sessions := newSessions(fail, metrics)
	pages := instance.pages(provider, fail, log, metrics)
	pages[sessionPath] = sessions
	imds := &imds{pages: pages, sessions: sessions, v1: instance.V1, metrics: metrics}
	return newEndpoint(imds, imds, &clients, fail, metrics)
}

// imds is both the guard and the content of the instance metadata endpoint.
type imds struct {
	pages    map[string]http.Handler
	sessions *sessions
	v1       bool
	metrics  *Metrics
}

func (m *imds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.pages[pagePath(r)].ServeHTTP(w, r) // check refuses paths without a page
}

// check asks for the session token before it looks for the page, as the real service
// does: without one nobody learns which pages there are.
func (m *imds) check(r *http.Request) *refusal {
	if refused := checkOrigin(r); refused != nil {
		return refused
	}
	page := pagePath(r)
	tokens, has := r.Header["X-Aws-Ec2-Metadata-Token"]
	m.count(page, has)
	switch {
	case page == sessionPath && r.Method != http.MethodPut:
		return methodNotAllowed(http.MethodPut)
	case page == sessionPath:
		return nil
	case !has && !m.v1:
		return unauthorized("a session token is required (IMDSv2), since SIDECAR_IMDS_V1 is false: request one with PUT " + sessionPath)
	case has && !(len(tokens) == 1 && m.sessions.valid(tokens[0])):
		return unauthorized("invalid or expired session token (tokens do not survive a restart of the sidecar): request a new one with PUT " + sessionPath)
	case m.pages[page] == nil:
		return noPage(page)
	case !reads(r):
		return methodNotAllowed("GET, HEAD")
	}
	return nil
}

// count counts a request by the version of the protocol: with a session token, which may
// be wrong, it is version 2. A request for a token does not show what its client uses it
// for.
func (m *imds) count(page string, hasToken bool) {
	switch {
	case page == sessionPath:
	case hasToken:
		m.metrics.v2.Inc()
	default:
		m.metrics.v1.Inc()
	}
}

// noPage is without a reason: SDKs try several paths, which is no fault of theirs.
func noPage(page string) *refusal {
	message := "not found: this emulated metadata service has only the role's credentials and what the sidecar is configured to say of region, zone and instance"
	if strings.HasPrefix(page, metadataPath+"placement/") {
		message = "not known here: set AWS_REGION and AWS_DEFAULT_REGION in the application's container, or SIDECAR_ZONE in the sidecar's"
	}
	return &refusal{status: http.StatusNotFound, code: "NotFound", message: message}
}

// pagePath returns the clean path of a request; that of any version, 1.0 or a date, is the
// path of the latest.
func pagePath(r *http.Request) string {
	path := cleanPath(r)
	version, page, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if _, err := time.Parse(time.DateOnly, version); err == nil || version == "1.0" {
		return "/latest/" + page
	}
	return path
}
