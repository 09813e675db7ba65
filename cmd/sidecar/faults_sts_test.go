package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// Whatever STS does, credentials are served until they expire, and spoiled answers are
// never served: P1, P2.
func TestFaultSTS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  standin.Fault
		reason string
	}{
		{"refuses", standin.Refuse(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"), "AccessDenied"},
		{"throttles", standin.Refuse(400, "Throttling", "Rate exceeded"), "throttled"},
		{"is down", standin.Refuse(503, "ServiceUnavailable", "later"), "other"},
		{"repeats the token", standin.EchoToken(), "InvalidIdentityToken"},
		{"resets the connection", standin.Reset(), "network"},
		{"hangs", standin.Hang(), "timeout"},
		{"sends a byte at a time", standin.Drip(10 * time.Millisecond), "timeout"},
		{"sends half a body", standin.HalfBody(), "invalid_response"},
		{"sends a body without end", standin.HugeBody(200, 10<<20), "invalid_response"},
		{"sends an error without end", standin.HugeBody(400, 10<<20), "invalid_response"},
		{"answers with an HTML page", standin.Answer(200, "text/html", "<html>Please log in</html>"), "invalid_response"},
		{"answers with an error as HTTP 200", standin.Answer(200, "text/xml", "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"), "invalid_response"},
		{"omits the credentials", standin.NoCredentials(), "invalid_response"},
		{"omits the keys", standin.EmptyCredentials(), "invalid_response"},
		{"omits the expiration", standin.NoExpiration(), "invalid_response"},
		{"grants expired credentials", standin.ExpiredCredentials(), "invalid_response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outage{
				setup: setup{reason: tt.reason},
				begin: func(w *world) { w.sts.Always(tt.fault) },
				end:   func(w *world) { w.sts.Always(nil) },
			}.test(t)
		})
	}
}

// Credentials that expire before the current ones do not replace them: P3.
func TestFaultSTSGrantsLess(t *testing.T) {
	setup{before: func(f *fault) { f.w.sts.SetGrantLifetime(25 * time.Second) }}.faultTest(t, func(f *fault) {
		f.w.sts.SetGrantLifetime(3 * time.Second)
		f.p.waitForLog(t, "before the current ones, which expire at")
		f.w.sts.SetGrantLifetime(25 * time.Second)
	})
}

// Whatever happens to the token, the credentials obtained with it are served: P1. A good
// token is noticed: P4.
func TestFaultToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spoil  func(*world) error
		reason string
	}{
		{"missing", func(w *world) error { return w.volume.PublishAll(nil) }, "token"},
		{"missing with its volume", func(w *world) error { return os.RemoveAll(filepath.Dir(w.volume.Path("token"))) }, "token"},
		{"empty", func(w *world) error { return w.volume.Publish("token", "") }, "token"},
		{"not a token", func(w *world) error { return w.volume.Publish("token", "-----BEGIN CERTIFICATE-----") }, "token"},
		{"expired", func(w *world) error {
			return w.volume.Publish("token", issuer().Token(standin.Claims{Lifetime: -time.Minute}))
		}, "ExpiredTokenException"},
		{"of another service account", func(w *world) error {
			return w.volume.Publish("token", issuer().Token(standin.Claims{ServiceAccount: "other"}))
		}, "AccessDenied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outage{
				setup: setup{reason: tt.reason},
				begin: func(w *world) {
					if err := tt.spoil(w); err != nil {
						t.Fatal(err)
					}
				},
				end: func(w *world) { w.publish(t) },
			}.test(t)
		})
	}
}

// A token that keeps changing causes no storm of calls: P5.
func TestFaultTokenFlaps(t *testing.T) {
	faultTest(t, func(f *fault) {
		f.w.sts.Always(standin.Refuse(503, "ServiceUnavailable", "later"))
		for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			f.w.publish(t)
		}
		f.waitForReason("other")
		f.w.sts.Always(nil)
	})
}
