package main

import (
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// The sidecar is stopped until its credentials have expired, and then finds neither a
// token nor STS. When the token is back, the reason changes; when STS is back too, there
// are credentials: P2, P4, P7.
func TestFaultStoppedWithoutTokenAndSTS(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	w.sts.Always(standin.Refuse(503, "ServiceUnavailable", "later"))
	if err := w.volume.PublishAll(nil); err != nil {
		t.Fatal(err)
	}
	o.excuse(func() {
		p.signal(t, syscall.SIGSTOP)
		time.Sleep(13 * time.Second)
		p.signal(t, syscall.SIGCONT)
	})
	o.waitForReason(t, "token")
	w.publish(t)
	o.waitForReason(t, "other")
	w.sts.Always(nil)
	o.waitForCredentials(t)
	o.end(t)
}

// inotify is used up, and the token is replaced while STS throttles. The current
// credentials are served, and once STS answers, the sidecar sends the new token: P1, P4,
// P7.
func TestFaultRotationUnseenWhileThrottled(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	write(t, "/proc/sys/user/max_inotify_instances", "0")
	w := newShortWorld(t)
	p := start(t, w.environment())
	o := observe(t, w, p)
	o.waitForCredentials(t)
	w.sts.Always(standin.Refuse(400, "Throttling", "Rate exceeded"))
	token := w.publish(t)
	o.waitForReason(t, "throttled")
	w.sts.Always(nil)
	o.waitForCredentials(t)
	requests := w.sts.Requests()
	if sent := requests[len(requests)-1].Form.Get("WebIdentityToken"); sent != token {
		t.Error("the request to STS does not have the new token")
	}
	o.end(t)
}

// There are few file descriptors, clients that keep all the connections they can, and
// others that never read. At the next refresh there are still descriptors for the token
// and for STS: P1, P4, P8.
func TestFaultFewFilesAndSlowClients(t *testing.T) {
	t.Parallel()
	w := newShortWorld(t)
	p := launch(t, through(command(t, w.environment()), "ulimit -n 64"))
	p.waitUntilItListens(t)
	o := observe(t, w, p)
	o.waitForCredentials(t)
	for range 4 {
		dawdle(t, p.endpoint)
		refuseToRead(t, p.endpoint)
	}
	hoard(t, p.endpoint, 200, 100*time.Millisecond)
	o.waitForRefresh(t)
	o.end(t)
}

// The disk is full from the start, and STS repeats the token in its errors. The sidecar
// works, and does not write elsewhere what it cannot log: P1, P6, P7.
func TestFaultDiskFullAndTokenRepeated(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) { // where no other test uses the ports
		return
	}
	w := newShortWorld(t)
	disk := newDisk(t)
	disk.fill(t)
	w.sts.Always(standin.EchoToken())
	p := disk.launch(t, command(t, w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ADMIN_LISTEN=127.0.0.1:9912")))
	p.waitForPorts(t, "127.0.0.1:9911", "127.0.0.1:9912")
	o := observe(t, w, p)
	o.loseLog(true)
	o.waitForReason(t, "InvalidIdentityToken")
	w.sts.Always(nil)
	o.waitForCredentials(t)
	w.sts.Always(standin.EchoToken())
	disk.clear(t)
	o.loseLog(false)
	o.waitForReason(t, "InvalidIdentityToken")
	w.sts.Always(nil)
	o.waitForCredentials(t)
	o.end(t)
}
