package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// maxAuthorization bounds an authorization token, in bytes: it has to fit
	// into the headers that the listener reads.
	maxAuthorization = 4 << 10

	// authorizationAge is how long a token that was read from its file is
	// used before the file is looked at again.
	authorizationAge = time.Second
)

// Authorization is the token that clients must send, verbatim, in the
// Authorization header: what AWS_CONTAINER_AUTHORIZATION_TOKEN is to them. It
// is safe for concurrent use. The nil *Authorization allows everything.
type Authorization struct {
	file    string // empty: the token does not change
	log     *slog.Logger
	token   atomic.Pointer[string]
	lookAt  atomic.Int64 // the Unix time in nanoseconds of the next look at file
	failing atomic.Bool  // the last look failed, and the log says so
}

// NewAuthorization returns the Authorization of a token that does not change.
// Its error says what is wrong with the token without repeating it.
func NewAuthorization(token string) (*Authorization, error) {
	token, err := checkToken(token)
	if err != nil {
		return nil, err
	}
	a := new(Authorization)
	a.token.Store(&token)
	return a, nil
}

// NewAuthorizationFile returns the Authorization of the token in a file, white
// space around it removed. When the file changes, the new token counts within
// two seconds; while it is missing or unusable, the last good one does. It is
// an error if there is no good one to begin with.
func NewAuthorizationFile(file string, log *slog.Logger) (*Authorization, error) {
	token, err := readToken(file)
	if err != nil {
		return nil, err
	}
	a := &Authorization{file: file, log: log}
	a.token.Store(&token)
	a.lookAt.Store(time.Now().Add(authorizationAge).UnixNano())
	return a, nil
}

// Token returns the token as it is now.
func (a *Authorization) Token() string {
	if a.file != "" {
		a.look(time.Now().UnixNano())
	}
	return *a.token.Load()
}

// allows tells whether a request with these Authorization headers may pass.
func (a *Authorization) allows(headers []string) bool {
	return a == nil || len(headers) == 1 && equal(headers[0], a.Token())
}

// look reads the file again if its time has come: a look at a request instead
// of a timer lets an idle process sleep. One request does so, others go on.
func (a *Authorization) look(now int64) {
	due := a.lookAt.Load()
	if now < due && due-now <= int64(authorizationAge) { // else the clock was set back
		return
	}
	if !a.lookAt.CompareAndSwap(due, now+int64(authorizationAge)) {
		return
	}
	token, err := readToken(a.file)
	if err != nil {
		if !a.failing.Swap(true) {
			a.log.Warn("authorization token unusable, the last good one counts", "file", a.file, "error", err.Error())
		}
		return
	}
	a.failing.Store(false)
	if token != *a.token.Load() {
		a.token.Store(&token)
		a.log.Info("authorization token changed", "file", a.file)
	}
}

// readToken reads a token from a file. Its errors repeat neither what the file
// holds nor its name, which is a token where somebody has mixed up the two.
func readToken(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	if info.Size() > 2*maxAuthorization {
		return "", fmt.Errorf("the file has %d bytes, an authorization token at most %d", info.Size(), maxAuthorization)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", withoutPath(err)
	}
	return checkToken(string(raw))
}

func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// checkToken removes white space around a token and tells why it cannot be
// sent in a header, if it cannot: several SDKs refuse one with a line break,
// and one of them ends the process (aws-sdk for JavaScript 2).
func checkToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	if token == "" {
		return "", errors.New("the token is empty")
	}
	if len(token) > maxAuthorization {
		return "", fmt.Errorf("the token has %d bytes, the most is %d", len(token), maxAuthorization)
	}
	for _, c := range []byte(token) {
		if c < ' ' || c > '~' {
			return "", errors.New("the token may hold printable ASCII characters only")
		}
	}
	return token, nil
}
