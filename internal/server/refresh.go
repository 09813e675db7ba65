package server

import (
	"context"
	"net/http"
	"time"
)

// refreshTimeout bounds how long a request for a refresh waits, within what an answer may take.
const refreshTimeout = 8 * time.Second

// Refresh is how the sidecar's own user has it get new credentials.
type Refresh struct {
	Path string
	User uint32                              // who alone may
	UID  func(*http.Request) (uint32, error) // of the client
	Now  func(ctx context.Context) error     // gets new credentials
}

// NewRefresh returns a handler of POST requests for r.Path. It passes all others on to next.
func NewRefresh(r Refresh, next http.Handler, metrics *Metrics) http.Handler {
	fail := failJSON(metrics)
	done := text(metrics, "application/json", `{"message":"there are new credentials"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != r.Path {
			next.ServeHTTP(w, req)
			return
		}
		if refused := r.check(req); refused != nil {
			if refused.reason != "" {
				metrics.refused.WithLabelValues(refused.reason).Inc()
			}
			fail(w, refused.status, refused.code, refused.message)
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), refreshTimeout)
		defer cancel()
		if err := r.Now(ctx); err != nil {
			fail(w, http.StatusServiceUnavailable, "NotRefreshed", err.Error())
			return
		}
		done.ServeHTTP(w, req)
	})
}

// check returns why a request for a refresh is refused, nil if it is not.
func (r Refresh) check(req *http.Request) *refusal {
	if refused := checkOrigin(req); refused != nil {
		return refused
	}
	if uid, err := r.UID(req); err != nil || uid != r.User {
		return &refusal{reason: "uid", status: http.StatusForbidden, code: "UserNotAllowed", message: "only the sidecar's own user may refresh the credentials: use kubectl exec in the sidecar's container"}
	}
	if req.Method != http.MethodPost {
		return methodNotAllowed(http.MethodPost)
	}
	return nil
}
