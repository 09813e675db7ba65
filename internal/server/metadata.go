package server

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

const sessionPath = "/latest/api/token"

// Metadata is what the instance metadata endpoint says beside credentials.
type Metadata struct {
	Role   arn.ARN
	Region string // empty: it has none
	V1     bool   // whether requests without a session token are answered
}

// NewMetadata returns the handler of the instance metadata endpoint, versions 2
// and, if m says so, 1: the credentials of provider as those of an instance's
// role, the region, and nothing else of an instance. Nothing is asked of a real
// instance metadata service.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//
// It never answers a request for the credentials with an error while provider
// has some.
func NewMetadata(m Metadata, provider aws.CredentialsProvider, log *slog.Logger, metrics *Metrics) http.Handler {
	fail := failText(metrics)
	sessions := newSessions(fail, metrics)
	role := path.Base(m.Role.Resource) // without role/ and the role's path
	pages := map[string]http.Handler{
		sessionPath: sessions,
		"/latest/meta-data/iam/security-credentials":         text(metrics, "text/plain", role),
		"/latest/meta-data/iam/security-credentials/" + role: newDocument(InstanceCredentials, provider, fail, log, metrics),
		"/latest/meta-data/iam/info":                         newDocument(InstanceProfile(m.Role), provider, fail, log, metrics),
	}
	if m.Region != "" {
		identity, _ := json.Marshal(struct { // a string always can be marshalled
			Region string `json:"region"`
		}{m.Region})
		pages["/latest/meta-data/placement/region"] = text(metrics, "text/plain", m.Region)
		pages["/latest/dynamic/instance-identity/document"] = text(metrics, "application/json", string(identity))
	}
	inside := &metadata{pages, sessions, m.V1}
	return &door{inside, inside, fail, metrics}
}

// metadata is the guard of the instance metadata endpoint, and what is inside.
type metadata struct {
	pages    map[string]http.Handler
	sessions *sessions
	v1       bool
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.pages[pagePath(r)].ServeHTTP(w, r) // there is one: check has seen to that
}

// check asks for the session first of all, as the real service does: without one
// nobody learns what there is.
func (m *metadata) check(r *http.Request) *refusal {
	if refused := strange(r); refused != nil {
		return refused
	}
	page := pagePath(r)
	tokens, has := r.Header["X-Aws-Ec2-Metadata-Token"]
	switch {
	case page == sessionPath && r.Method != http.MethodPut:
		return notAllowed(http.MethodPut)
	case page == sessionPath:
		return nil
	case !has && !m.v1:
		return unauthorized("a session token is required (IMDSv2), since SIDECAR_IMDS_V1 is false: PUT " + sessionPath)
	case has && !(len(tokens) == 1 && m.sessions.valid(tokens[0])):
		return unauthorized("the session token has expired, or is none of this sidecar, which knows none from before its start: PUT " + sessionPath)
	case m.pages[page] == nil:
		// No reason: SDKs look for this and that, and nobody is at fault.
		return &refusal{status: http.StatusNotFound, code: "NotFound",
			message: "this is no instance: of its metadata there are only the credentials of the role, and the region if the sidecar has one"}
	case !reads(r):
		return notAllowed("GET, HEAD")
	}
	return nil
}

// pagePath returns the path of a request without a slash at its end, which SDKs
// have after security-credentials.
func pagePath(r *http.Request) string {
	return strings.TrimSuffix(r.URL.Path, "/")
}

func unauthorized(message string) *refusal {
	return &refusal{reason: "authorization", status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}
