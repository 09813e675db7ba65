package main

import (
	"errors"
	"net/http"
	"time"

	"irsa-sidecar/test/standin"
)

// Cases about how an SDK behaves over time.

// renewal grants credentials that are within the refresh window of most SDKs from the
// start, so that a renewal takes only seconds.
func renewal(e endpoint) func(*trial) error {
	return func(t *trial) error {
		lifetime := 14 * time.Second
		if w := t.job.Release.Window; 0 < w && w < time.Minute {
			lifetime = w * 7 / 2 // the sidecar has renewed them before the window begins
		}
		return renewed(t, e, lifetime, time.Second)
	}
}

// renewalAtWindow grants credentials that soon enter the SDK's refresh window. If the
// window is short, they enter it after the sidecar has renewed them.
func renewalAtWindow(t *trial) error {
	window := t.job.Release.Window
	if window < time.Minute {
		return renewed(t, loopback(), window*7/2, time.Second)
	}
	return renewed(t, loopback(), window+10*time.Second, 5*time.Second)
}

// renewed asks until the key changes. The sidecar renews credentials by 65 % of their
// life, but some SDKs keep the old ones until they expire.
func renewed(t *trial, e endpoint, lifetime, period time.Duration) error {
	t.sts.SetGrantLifetime(lifetime)
	if err := t.begin(e); err != nil {
		return err
	}
	old, err := t.key()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(lifetime + 5*time.Second); time.Now().Before(deadline); time.Sleep(period) {
		key, err := t.key()
		if err != nil {
			return err
		}
		if key != old {
			return nil
		}
	}
	return verdict("keeps the first credentials")
}

// beforeReady delays the answer of STS until the client has asked, but not for longer
// than the sidecar holds a request.
func beforeReady(t *trial) error {
	if err := t.start(fullURI+credentialsURL, noMetadata); err != nil {
		return err
	}
	t.sts.Next(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(700 * time.Millisecond)
			next.ServeHTTP(w, r)
		})
	})
	if err := t.startSidecar(); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	_, err := t.key()
	return err
}

func recovery(t *trial) error {
	if err := t.beginWithout(loopback()); err != nil {
		return err
	}
	if _, err := t.key(); err == nil {
		return errors.New("got credentials before STS granted any")
	}
	t.sts.Always(nil)
	// A new token ends the wait for the next attempt.
	if err := t.world.volume.Publish("token", t.world.issuer.Token(standin.Claims{})); err != nil {
		return err
	}
	err := t.until(30*time.Second, "the sidecar did not recover", func() bool { return len(t.sts.Credentials()) > 0 })
	if err != nil {
		return err
	}
	_, err = t.key()
	return err
}

func restart(t *trial) error {
	lifetime := time.Minute
	if w := t.job.Release.Window; 0 < w && w < time.Minute {
		lifetime = w + 5*time.Second
	}
	t.sts.SetGrantLifetime(lifetime)
	if err := t.begin(loopback()); err != nil {
		return err
	}
	old, err := t.key()
	if err != nil {
		return err
	}
	t.stopSidecar()
	if err := t.serve(); err != nil {
		return err
	}
	// Some SDKs begin their window at a random time.
	for deadline := time.Now().Add(lifetime); time.Now().Before(deadline); time.Sleep(time.Second) {
		key, err := t.key()
		if err != nil || key != old {
			return err
		}
	}
	return verdict("keeps the first credentials")
}

func outage(t *trial) error {
	lifetime := 20 * time.Second
	if t.job.Release.marked("oneshot") {
		lifetime = 40 * time.Second // a process takes seconds on a busy machine
	}
	t.sts.SetGrantLifetime(lifetime)
	if err := t.serve(); err != nil {
		return err
	}
	t.sts.Always(standin.Refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "down"))
	if err := t.start(fullURI+credentialsURL, noMetadata); err != nil {
		return err
	}
	// The sidecar tries to renew, and fails, at 50 to 65 % of that.
	for failed := false; !failed; time.Sleep(500 * time.Millisecond) {
		failed = len(t.sts.Requests()) > 1
		if _, err := t.key(); err != nil {
			return err
		}
	}
	return nil
}
