package server

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// reloadPeriod is how long a token is used before it is read again.
const reloadPeriod = time.Second

// Authorization is the token that clients must send, verbatim, in the Authorization
// header: their AWS_CONTAINER_AUTHORIZATION_TOKEN. It is safe for concurrent use. The
// nil *Authorization allows everything.
type Authorization struct {
	file     string                 // for the log
	read     func() (string, error) // nil: the token does not change
	log      *slog.Logger
	token    atomic.Pointer[string]
	reloadAt atomic.Int64 // Unix time in nanoseconds
	failing  atomic.Bool  // the last read failed, and the log says so
}

// NewAuthorization returns the Authorization of a token that does not change.
func NewAuthorization(token string) *Authorization {
	a := new(Authorization)
	a.token.Store(&token)
	return a
}

// NewReloadedAuthorization returns the Authorization of a token that may change: read
// returns the current one from the file. A changed token takes effect within two seconds.
// While read fails, the last good token stays in effect, and log has a warning.
func NewReloadedAuthorization(token, file string, read func() (string, error), log *slog.Logger) *Authorization {
	a := NewAuthorization(token)
	a.file, a.read, a.log = file, read, log
	a.reloadAt.Store(time.Now().Add(reloadPeriod).UnixNano())
	return a
}

// Token returns the current token.
func (a *Authorization) Token() string {
	if a.read != nil {
		a.reload(time.Now().UnixNano())
	}
	return *a.token.Load()
}

// allows reports whether a request with these Authorization headers may pass.
func (a *Authorization) allows(headers []string) bool {
	return a == nil || len(headers) == 1 && equal(headers[0], a.Token())
}

// reload reads the token again when it is time to: at a request instead of with a timer,
// so that an idle process sleeps. One request does so, others do not wait for it.
func (a *Authorization) reload(now int64) {
	due := a.reloadAt.Load()
	setBack := due-now > int64(reloadPeriod) // the clock
	if now < due && !setBack {
		return
	}
	if !a.reloadAt.CompareAndSwap(due, now+int64(reloadPeriod)) {
		return
	}
	token, err := a.read()
	if err != nil {
		if !a.failing.Swap(true) {
			a.log.Warn("authorization token unusable, the last good one stays in effect", "file", a.file, "error", err.Error())
		}
		return
	}
	a.failing.Store(false)
	if token != *a.token.Load() {
		a.token.Store(&token)
		a.log.Info("authorization token changed", "file", a.file)
	}
}
