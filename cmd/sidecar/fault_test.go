package main

import (
	"os/exec"
	"testing"
)

// setup has the options of a fault test. With the zero value it starts with a token, an
// STS that grants, and a sidecar with the default settings.
type setup struct {
	// enter is inNamespaces, or nil if the test needs no namespaces of its own.
	enter func(*testing.T) bool

	// world is newShortWorld if it is nil.
	world func(*testing.T) *world

	// before, if it is not nil, is called before the sidecar starts.
	before func(*fault)

	// launch starts the sidecar. If it is nil, the function launch does.
	launch func(*testing.T, *exec.Cmd) *process

	// alone is for a fault that needs the CPU of this machine. The test is not parallel.
	alone bool

	// withoutLog is for a sidecar whose log cannot be written. It gets fixed ports, so
	// enter must be inNamespaces, where no other test uses them.
	withoutLog bool

	// reason is the code of the reason why the sidecar has no credentials at first. If it
	// is set, the test waits for the reason before the fault, and otherwise for
	// credentials.
	reason string
}

// fault is what a fault test works with.
type fault struct {
	w           *world
	environment []string // more settings of the sidecar; has an effect before the start only

	// The fields below are nil before the sidecar starts.
	p *process
	*observer
}

// faultTest is a test, parallel to others if it can be, in which cause makes something go wrong while
// an observer keeps requesting credentials. It fails unless the sidecar gets new
// credentials after cause has returned, and keeps all the promises that the observer
// checks. A nil cause is for a fault that the setup makes.
func faultTest(t *testing.T, cause func(*fault)) {
	t.Helper()
	setup{}.faultTest(t, cause)
}

// faultTest is the function faultTest with options.
func (s setup) faultTest(t *testing.T, cause func(*fault)) {
	t.Helper()
	if !s.alone {
		t.Parallel()
	}
	if s.enter != nil && !s.enter(t) {
		return
	}
	if s.world == nil {
		s.world = newShortWorld
	}
	f := &fault{w: s.world(t)}
	if s.before != nil {
		s.before(f)
	}
	f.p = s.start(t, f)
	f.observer = observe(t, f.w, f.p)
	f.loseLog(s.withoutLog)
	if s.reason != "" {
		f.waitForReason(s.reason)
	} else {
		f.waitForCredentials()
	}
	if cause != nil {
		cause(f)
	}
	f.waitForRefresh()
	f.end()
}

// start starts the sidecar and waits until it listens.
func (s setup) start(t *testing.T, f *fault) *process {
	t.Helper()
	if s.launch == nil {
		s.launch = launch
	}
	if !s.withoutLog {
		p := s.launch(t, command(t, f.w.environment(f.environment...)))
		p.waitUntilItListens(t)
		return p
	}
	const endpoint, admin = "127.0.0.1:9911", "127.0.0.1:9912"
	settings := append(f.environment, "SIDECAR_LISTEN="+endpoint, "SIDECAR_ADMIN_LISTEN="+admin)
	p := s.launch(t, command(t, f.w.environment(settings...)))
	p.waitForPorts(t, endpoint, admin)
	return p
}

// checkSentToken checks that the latest request to STS had this token.
func (f *fault) checkSentToken(t *testing.T, token string) {
	t.Helper()
	requests := f.w.sts.Requests()
	if sent := requests[len(requests)-1].Form.Get("WebIdentityToken"); sent != token {
		t.Error("the latest request to STS does not have the new token")
	}
}

// outage is a fault during which no attempt to get credentials succeeds. The reason in
// its setup is the code that reports it.
type outage struct {
	setup
	begin, end func(*world)
}

// test checks that a sidecar recovers from the outage, once at its start and once when
// it has credentials.
func (o outage) test(t *testing.T) {
	t.Helper()
	before := o.before
	o.before = func(f *fault) {
		if before != nil {
			before(f)
		}
		o.begin(f.w)
	}
	o.faultTest(t, func(f *fault) {
		o.end(f.w)
		f.waitForCredentials()
		o.begin(f.w)
		f.waitForReason(o.reason)
		o.end(f.w)
	})
}
