package main

import (
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// The sidecar is stopped until its credentials have expired, and then finds neither a
// token nor STS. When the token is back, the reason changes; when STS is back too, there
// are credentials: P2, P4, P7.
func TestFaultStoppedWithoutTokenAndSTS(t *testing.T) {
	faultTest(t, func(f *fault) {
		f.w.sts.Always(standin.Refuse(503, "ServiceUnavailable", "later"))
		if err := f.w.volume.PublishAll(nil); err != nil {
			t.Fatal(err)
		}
		f.pause(t, 13*time.Second)
		f.waitForReason("token")
		f.w.publish(t)
		f.waitForReason("other")
		f.w.sts.Always(nil)
	})
}

// inotify is used up, and the token is replaced while STS throttles. The current
// credentials are served, and once STS answers, the sidecar sends the new token: P1, P4,
// P7.
func TestFaultRotationUnseenWhileThrottled(t *testing.T) {
	setup{enter: inNamespaces, before: func(*fault) {
		write(t, "/proc/sys/user/max_inotify_instances", "0")
	}}.faultTest(t, func(f *fault) {
		f.w.sts.Always(standin.Refuse(400, "Throttling", "Rate exceeded"))
		token := f.w.publish(t)
		f.waitForReason("throttled")
		f.w.sts.Always(nil)
		f.waitForCredentials()
		f.checkSentToken(t, token)
	})
}

// There are few file descriptors, clients that keep all the connections they can, and
// others that never read. At the next refresh there are still descriptors for the token
// and for STS: P1, P4, P8.
func TestFaultFewFilesAndSlowClients(t *testing.T) {
	setup{launch: launchWithFewFiles}.faultTest(t, func(f *fault) {
		for range 4 {
			dawdle(t, f.p.endpoint)
			refuseToRead(t, f.p.endpoint)
		}
		hoard(t, f.p.endpoint, 200, 100*time.Millisecond)
	})
}

// The disk is full from the start, and STS repeats the token in its errors. The sidecar
// works, and does not write elsewhere what it cannot log: P1, P6, P7.
func TestFaultDiskFullAndTokenRepeated(t *testing.T) {
	d := new(disk)
	setup{
		enter: inNamespaces,
		before: func(f *fault) {
			d.mount(t)
			d.fill(t)
			f.w.sts.Always(standin.EchoToken())
		},
		launch:     d.launch,
		withoutLog: true,
		reason:     "InvalidIdentityToken",
	}.faultTest(t, func(f *fault) {
		f.w.sts.Always(nil)
		f.waitForCredentials()
		f.w.sts.Always(standin.EchoToken())
		d.clear(t)
		f.loseLog(false)
		f.waitForReason("InvalidIdentityToken")
		f.w.sts.Always(nil)
	})
}
