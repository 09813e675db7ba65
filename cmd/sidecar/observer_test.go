package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/test/standin"
)

const (
	// patience is how long an observer waits for an answer. The least patient SDKs
	// (those for JavaScript, Java 2, PHP, Ruby and C++) wait for a second. On a busy test
	// machine a few answers may take longer.
	patience     = 5 * time.Second
	leastPatient = time.Second

	// askPeriod is how often an observer sends a request.
	askPeriod = 30 * time.Millisecond

	// recovery is the longest time until credentials are back after STS works again: P4.
	recovery = 70 * time.Second
)

// observer keeps requesting credentials from a sidecar, as an SDK does, and checks every
// answer against the promises of docs/guarantees.md, so that the test of a fault only
// has to cause the fault:
//
//	P1  Credentials, once obtained, are served until their last second, whatever
//	    happens to STS, the token, the network or the file system.
//	P2  Expired or partial credentials are never served.
//	P3  The Expiration that is served never moves backwards.
//	P4  A refresh begins before 65 % of a lifetime of 10 s or more are over; with
//	    nothing valid left, credentials are back within 70 s of STS working again.
//	P5  STS is never called more often than the schedule and the back-off allow.
//	P6  No secret leaves except in the body of an authorized answer.
//	P7  It always says why: if it is not ready, the reason is in the log, in the
//	    message of the 503 and in a metric.
//	P8  It exits within a second of SIGTERM.
type observer struct {
	t       *testing.T
	world   *world
	p       *process
	client  *http.Client
	stop    context.CancelFunc
	stopped chan struct{}

	mu sync.Mutex
	// mu guards the fields below.
	seen       []standin.Credentials // all that were served, in order
	reason     string                // why there are none, by the latest answer
	checked    time.Time             // when the log and the metrics were last checked for the reason
	excuses    []span
	logLost    bool            // the log cannot be written, and is not checked
	output     strings.Builder // everything that must not contain a secret, except the log
	answers    int
	late       int // answers that were too late for the least patient SDK
	mayBeLate  bool
	violations int
}

// span is a period of time. A zero end means that it has not ended.
type span struct{ begin, end time.Time }

func (s span) overlaps(other span) bool {
	return (s.end.IsZero() || other.begin.Before(s.end)) && (other.end.IsZero() || s.begin.Before(other.end))
}

// answer is what a client gets.
type answer struct {
	span
	status int
	body   []byte
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("HTTP %d, %s", a.status, a.body)
}

// observe starts an observer.
func observe(t *testing.T, w *world, p *process) *observer {
	ctx, stop := context.WithCancel(context.Background())
	o := &observer{t: t, world: w, p: p, stop: stop, stopped: make(chan struct{}),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	go func() {
		defer close(o.stopped)
		tick := time.NewTicker(askPeriod)
		defer tick.Stop()
		for ctx.Err() == nil {
			o.check(o.ask())
			<-tick.C
		}
	}()
	t.Cleanup(func() {
		stop()
		<-o.stopped
	})
	return o
}

// ask requests credentials once.
func (o *observer) ask() (a answer) {
	a.begin = time.Now()
	resp, err := o.client.Get("http://" + o.p.endpoint + "/v1/credentials")
	if err == nil {
		a.status = resp.StatusCode
		a.body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	a.err, a.end = err, time.Now()
	return a
}

// check checks P1 and P7, and the content of the answer.
func (o *observer) check(a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers++
	excused := slices.ContainsFunc(o.excuses, a.overlaps)
	if a.end.Sub(a.begin) > leastPatient && !excused {
		o.late++
	}
	served := o.latest()
	switch {
	case a.err == nil && a.status == http.StatusOK:
		o.checkCredentials(a, served)
	case excused:
	case a.end.Before(served.Expiration):
		o.violated("P1: credentials are valid until %v, but the endpoint answered at %v: %v", served.Expiration, a.end, a)
	case a.err != nil:
		o.violated("P7: no answer: %v", a.err)
	default:
		o.checkReason(a)
	}
}

// latest returns the credentials that were served last, zero if there were none.
func (o *observer) latest() (c standin.Credentials) {
	if len(o.seen) > 0 {
		c = o.seen[len(o.seen)-1]
	}
	return c
}

// checkCredentials checks P2 and P3.
func (o *observer) checkCredentials(a answer, before standin.Credentials) {
	o.reason = ""
	var document map[string]string
	err := json.Unmarshal(a.body, &document)
	issued := o.world.sts.Credentials()
	n := slices.IndexFunc(issued, func(c standin.Credentials) bool { return c.AccessKeyID == document["AccessKeyId"] })
	if err != nil || n < 0 {
		o.violated("P2: served credentials that STS never issued: %s", a.body)
		return
	}
	c := issued[n]
	want := map[string]string{
		"AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.SessionToken,
		"Expiration": c.Expiration.Format(time.RFC3339), "RoleArn": role,
	}
	if o.world.agent != nil {
		delete(want, "RoleArn")
	}
	switch {
	case !maps.Equal(document, want):
		o.violated("P2: served %s, but STS issued %v", a.body, want)
	case !c.Expiration.After(a.begin):
		o.violated("P2: served at %v credentials that expired at %v", a.begin, c.Expiration)
	case c.Expiration.Before(before.Expiration):
		o.violated("P3: served an expiration of %v after %v", c.Expiration, before.Expiration)
	}
	if c != before {
		o.seen = append(o.seen, c)
	}
}

// checkReason checks P7: the endpoint says why, and so do the log and the metrics.
func (o *observer) checkReason(a answer) {
	message := reasonIn(a)
	if message == "" {
		o.violated("P7: not a 503 with a reason: %v", a)
		return
	}
	o.output.WriteString(message)
	code, _, _ := strings.Cut(message, ": ")
	if code == o.reason && time.Since(o.checked) < time.Second {
		return
	}
	o.reason, o.checked = code, time.Now()
	deadline := time.Now().Add(slack)
	for missing := o.missing(message); missing != ""; missing = o.missing(message) {
		if now := reasonIn(o.ask()); !strings.HasPrefix(now, code+": ") {
			return // the reason has changed meanwhile
		}
		if time.Now().After(deadline) {
			o.violated("P7: the endpoint says %q, but there is no %s", message, missing)
			return
		}
		time.Sleep(askPeriod)
	}
}

// reasonIn returns the message of a well-formed 503, otherwise the empty string.
func reasonIn(a answer) string {
	var document map[string]string
	err := json.Unmarshal(a.body, &document)
	code, why, _ := strings.Cut(document["message"], ": ")
	if a.err != nil || a.status != http.StatusServiceUnavailable || err != nil ||
		len(document) != 2 || document["code"] != "CredentialsUnavailable" || !slices.Contains(slices.Concat(reasonCodes(config.WebIdentity), reasonCodes(config.PodIdentity)), code) || why == "" {
		return ""
	}
	return document["message"]
}

// missing returns what lacks the reason that the endpoint gives for having no
// credentials, empty if nothing does.
func (o *observer) missing(message string) string {
	code, why, _ := strings.Cut(message, ": ")
	metrics, readyz := o.admin("/metrics"), o.admin("/readyz")
	if readyz != "not ready: "+code+"\n" {
		return "code in /readyz: " + readyz
	}
	// Until an attempt fails, or fails again, the message describes the state.
	if strings.Contains(why, " has not answered the first request") || strings.HasPrefix(why, "credentials expired at ") {
		if metric(metrics, "irsa_sidecar_credentials_expiration_timestamp_seconds") > float64(time.Now().Unix()) {
			return "expiration in the past in the metrics"
		}
		return ""
	}
	if metric(metrics, fmt.Sprintf("irsa_sidecar_refresh_failing{code=%q}", code)) != 1 {
		return "metric with the code"
	}
	last := attempt{}
	for _, a := range attempts(o.p.log()) {
		last = a
	}
	if last.Code != code && !o.logLost {
		return "line with the code at the end of the log"
	}
	return ""
}

// admin returns what the admin listener answers.
func (o *observer) admin(path string) string {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer := fetch(client, "http://"+o.p.admin+path)
	o.output.WriteString(answer)
	return answer
}

// violated reports a broken promise, up to five times.
func (o *observer) violated(format string, args ...any) {
	o.violations++
	if o.violations <= 5 {
		o.t.Errorf(format, args...)
	}
}
