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
	sessions := newSessions(metrics)
	role := path.Base(m.Role.Resource) // without role/ and the role's path
	pages := map[string]http.Handler{
		sessionPath: sessions,
		"/latest/meta-data/iam/security-credentials":         metrics.text("text/plain", role),
		"/latest/meta-data/iam/security-credentials/" + role: newDocument(InstanceCredentials, provider, log, metrics),
		"/latest/meta-data/iam/info":                         newDocument(InstanceProfile(m.Role), provider, log, metrics),
	}
	if m.Region != "" {
		identity, _ := json.Marshal(struct { // a string always can be marshalled
			Region string `json:"region"`
		}{m.Region})
		pages["/latest/meta-data/placement/region"] = metrics.text("text/plain", m.Region)
		pages["/latest/dynamic/instance-identity/document"] = metrics.text("application/json", string(identity))
	}
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages[pagePath(r)].ServeHTTP(w, r) })
	return &door{&metadataGuard{pages, sessions, m.V1}, inside, metrics}
}

// pagePath returns the path of a request without a slash at its end, which old
// SDKs have where there need not be one (botocore, availability-zone/).
func pagePath(r *http.Request) string {
	return strings.TrimSuffix(r.URL.Path, "/")
}

// metadataGuard says who may ask at the instance metadata endpoint.
type metadataGuard struct {
	pages    map[string]http.Handler
	sessions *sessions
	v1       bool
}

func (g *metadataGuard) check(r *http.Request) *refusal {
	if refused := strange(r); refused != nil {
		return refused
	}
	page := pagePath(r)
	tokens, has := r.Header["X-Aws-Ec2-Metadata-Token"]
	switch {
	case g.pages[page] == nil:
		// No reason: SDKs look for this and that, and nobody is at fault.
		return &refusal{status: http.StatusNotFound, code: "NotFound",
			message: "this is no instance: of its metadata there are only the credentials of the role, and the region if the sidecar has one"}
	case page == sessionPath && r.Method != http.MethodPut:
		return notAllowed(http.MethodPut)
	case page == sessionPath:
		return nil
	case !reads(r):
		return notAllowed("GET, HEAD")
	case !has && !g.v1:
		return unauthorized("a session token is required (IMDSv2), since SIDECAR_IMDS_V1 is false: PUT " + sessionPath)
	case has && !(len(tokens) == 1 && g.sessions.valid(tokens[0])):
		return unauthorized("the session token has expired, or is none of this sidecar, which knows none from before its start: PUT " + sessionPath)
	}
	return nil
}

func unauthorized(message string) *refusal {
	return &refusal{reason: "authorization", status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}
