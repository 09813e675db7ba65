package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
)

// Clients is what an endpoint does about who asks. The zero value is nothing.
type Clients struct {
	// UID returns the user id of the client, from the context of its request. It must be
	// set if one of the others is.
	UID func(context.Context) (uint32, error)

	// Allowed are the user ids that may ask; nil: all, and those that are not known.
	Allowed []uint32

	// Log counts every request; nil: none.
	Log *AccessLog
}

// check returns why the client of r may not ask, nil if it may.
func (c *Clients) check(r *http.Request) *refusal {
	if c.Allowed == nil {
		return nil
	}
	uid, err := c.UID(r.Context())
	if err == nil && slices.Contains(c.Allowed, uid) {
		return nil
	}
	message := fmt.Sprintf("user id %d may not have the credentials: add it to the sidecar's SIDECAR_ALLOWED_UIDS, or have the container run as a user id that is there (runAsUser)", uid)
	if err != nil {
		message = "SIDECAR_ALLOWED_UIDS is set, and the kernel does not say whose this connection is: " + err.Error()
	}
	return &refusal{reason: "uid", status: http.StatusForbidden, code: "UserNotAllowed", message: message}
}

// logged is an endpoint whose requests are in the access log of its clients.
type logged struct{ e *endpoint }

func (l *logged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	l.e.ServeHTTP(answer, r)
	request := access{status: answer.status, agent: printable(r.UserAgent())}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		request.endpoint = addr.String()
	}
	if uid, err := l.e.clients.UID(r.Context()); err == nil {
		request.uid = uid
	}
	l.e.clients.Log.add(request)
}

// statusWriter is a ResponseWriter that knows the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
