package server

import (
	"log/slog"
	"net/http"
)

// ContainerGuard says who may ask at the container credentials endpoint.
type ContainerGuard struct {
	// Path is the only path that is answered, without a slash at its end and
	// without two in a row; a request may have more. It may be a secret: it is
	// compared in constant time and never repeated.
	Path string

	// Authorization is what the Authorization header must be; nil: anything.
	Authorization *Authorization
}

// NewContainerEndpoint returns the handler of the container credentials endpoint: it
// answers requests of clients that pass access with the credentials of provider, as render writes
// them. It never answers with an error while provider has credentials.
func NewContainerEndpoint(access ContainerGuard, clients Clients, render Renderer, provider Provider, log *slog.Logger, metrics *Metrics) http.Handler {
	fail := failJSON(metrics)
	return newEndpoint(&access, newDocument(render, provider, fail, log, metrics), &clients, fail, metrics)
}

func (g *ContainerGuard) check(r *http.Request) *refusal {
	if refused := checkOrigin(r); refused != nil {
		return refused
	}
	switch {
	case !equal(cleanPath(r), g.Path):
		return &refusal{reason: "path", status: http.StatusNotFound, code: "NotFound",
			message: "no credentials at this path: the path in AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be the sidecar's SIDECAR_PATH"}
	case !reads(r):
		return methodNotAllowed("GET, HEAD")
	case !g.Authorization.allows(r.Header["Authorization"]):
		return unauthorized("the Authorization header is missing or wrong: AWS_CONTAINER_AUTHORIZATION_TOKEN in the application's container must be the sidecar's authorization token")
	}
	return nil
}
