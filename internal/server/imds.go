package server

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

const sessionPath = "/latest/api/token"

// Instance is what the instance metadata endpoint says in addition to credentials.
type Instance struct {
	Role   arn.ARN
	Region string // empty: none
	V1     bool   // whether requests without a session token are answered
}

// NewInstanceEndpoint returns the handler of the instance metadata endpoint, version 2
// and, if instance says so, version 1: the credentials of provider as those of an
// instance's role, the region, and nothing else. It never contacts a real instance
// metadata service.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//
// It never answers a request for the credentials with an error while provider has some.
func NewInstanceEndpoint(instance Instance, provider Provider, log *slog.Logger, metrics *Metrics) http.Handler {
	fail := failText(metrics)
	sessions := newSessions(fail, metrics)
	role := path.Base(instance.Role.Resource) // without role/ and the role's path
	pages := map[string]http.Handler{
		sessionPath: sessions,
		"/latest/meta-data/iam/security-credentials":         text(metrics, "text/plain", role),
		"/latest/meta-data/iam/security-credentials/" + role: newDocument(InstanceCredentials, provider, fail, log, metrics),
		"/latest/meta-data/iam/info":                         newDocument(InstanceProfile(instance.Role), provider, fail, log, metrics),
	}
	if instance.Region != "" {
		identity, _ := json.Marshal(struct { // a string can always be marshalled
			Region string `json:"region"`
		}{instance.Region})
		pages["/latest/meta-data/placement/region"] = text(metrics, "text/plain", instance.Region)
		pages["/latest/dynamic/instance-identity/document"] = text(metrics, "application/json", string(identity))
	}
	imds := &imds{pages: pages, sessions: sessions, v1: instance.V1}
	return &endpoint{guard: imds, content: imds, fail: fail, metrics: metrics}
}

// imds is both the guard and the content of the instance metadata endpoint.
type imds struct {
	pages    map[string]http.Handler
	sessions *sessions
	v1       bool
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
		// Without a reason: SDKs try several paths, which is no fault of theirs.
		return &refusal{status: http.StatusNotFound, code: "NotFound",
			message: "not found: this emulated metadata service has only the role's credentials and, if one is set, the region"}
	case !reads(r):
		return methodNotAllowed("GET, HEAD")
	}
	return nil
}

// pagePath returns the path of a request without a slash at its end, which SDKs
// have after security-credentials.
func pagePath(r *http.Request) string {
	return strings.TrimSuffix(r.URL.Path, "/")
}
