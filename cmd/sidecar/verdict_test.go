package main

import (
	"bufio"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slack is the time that a busy machine may need until others see what a process did.
const slack = time.Second

// excuse runs f, during which the sidecar need not answer or refresh.
func (o *observer) excuse(f func()) {
	o.mu.Lock()
	o.excuses = append(o.excuses, span{begin: time.Now()})
	o.mu.Unlock()
	f()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.excuses[len(o.excuses)-1].end = time.Now()
}

// loseLog sets whether the log cannot be written, and so is not checked.
func (o *observer) loseLog(lost bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logLost = lost
}

// wait waits until seen returns true.
func (o *observer) wait(limit time.Duration, want string, seen func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(askPeriod) {
		o.mu.Lock()
		done := seen()
		o.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("no %s after %v", want, limit)
		}
	}
}

// waitForCredentials waits until credentials are served, as long as P4 allows.
func (o *observer) waitForCredentials() {
	o.t.Helper()
	o.wait(recovery, "credentials", func() bool { return o.reason == "" && o.latest().Expiration.After(time.Now()) })
}

// waitForRefresh waits until new credentials are served.
func (o *observer) waitForRefresh() {
	o.t.Helper()
	o.mu.Lock()
	before := o.latest()
	o.mu.Unlock()
	o.wait(recovery, "refresh", func() bool { return o.latest() != before })
}

// waitForReason waits until the endpoint has no credentials for the reason code. By P1
// the observer checks that this is not too early.
func (o *observer) waitForReason(code string) {
	o.t.Helper()
	o.wait(recovery, "503 because of "+code, func() bool { return o.reason == code })
}

// end terminates the sidecar and checks what can only be checked then: how it exits (P8),
// all its output (P6), and when it called STS (P4, P5).
func (o *observer) end() {
	o.t.Helper()
	o.stop()
	<-o.stopped
	o.admin("/metrics")
	o.admin("/readyz")
	// If it hangs, SIGQUIT makes it log the stacks of its goroutines.
	hanging := time.AfterFunc(10*time.Second, func() { o.p.Signal(syscall.SIGQUIT) })
	defer hanging.Stop()
	stall := stalls()
	signalled := time.Now()
	status := o.p.terminate(o.t)
	if took, stalled := time.Since(signalled), stall(); status != 0 || took > time.Second+slack+stalled {
		o.t.Errorf("P8: exited %v after SIGTERM with status %d; the machine stalled for %v", took, status, stalled)
	}
	if o.late > o.answers/100 && !o.mayBeLate {
		o.t.Errorf("P1: %d of %d answers took more than %v", o.late, o.answers, leastPatient)
	}
	if len(o.seen) == 0 {
		o.t.Error("the observer saw no credentials, so this test proves nothing")
	}
	o.checkSecrets()
	requests := o.requests()
	checkSpacing(o.t, "STS", requests)
	logged := attempts(o.p.log())
	checkSpacing(o.t, "the log", slices.DeleteFunc(slices.Clone(logged), func(a attempt) bool { return a.Code == "token" }))
	o.checkRefreshes(requests, logged)
}

// stalls returns a function that returns the longest time, since the call of stalls, for
// which the busy machine did not run a process that needs almost no CPU.
func stalls() (longest func() time.Duration) {
	stop, seen := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(askPeriod)
		defer tick.Stop()
		var stall time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
			case <-stop:
				seen <- stall
				return
			}
			now := time.Now()
			stall = max(stall, now.Sub(last)-askPeriod)
			last = now
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-seen
	}
}

// checkSecrets checks P6.
func (o *observer) checkSecrets() {
	o.t.Helper()
	output := o.output.String() + o.p.log()
	var secrets []string
	for _, token := range o.world.tokens {
		secrets = append(secrets, strings.Split(token, ".")...)
	}
	for _, c := range o.world.sts.Credentials() {
		secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	}
	for _, secret := range secrets {
		if strings.Contains(output, secret) {
			o.t.Errorf("P6: %q leaked", secret)
		}
	}
}

// attempt is a call for credentials.
type attempt struct {
	Time       time.Time
	Msg        string
	Code       string    // why it failed
	Expiration time.Time // of the new credentials, zero if it failed
}

// attempts returns the attempts in a log, each with the time at which it ended.
func attempts(log string) (all []attempt) {
	for line := range strings.Lines(log) {
		var a attempt
		if json.Unmarshal([]byte(line), &a) == nil && (a.Msg == "credentials refreshed" || a.Msg == "refresh failed") {
			all = append(all, a)
		}
	}
	return all
}

// requests returns the attempts that reached STS or the agent, each with the time at which
// it started. An attempt whose credentials were never served counts as failed.
func (o *observer) requests() (all []attempt) {
	if o.world.agent != nil {
		for _, r := range o.world.agent.Requests() {
			a := attempt{Time: r.Time, Code: r.Outcome}
			if r.Outcome == "" && !r.Spoilt && slices.Contains(o.seen, r.Credentials) {
				a.Expiration = r.Credentials.Expiration
			}
			all = append(all, a)
		}
		return all
	}
	issued := o.world.sts.Credentials()
	for _, r := range o.world.sts.Requests() {
		a := attempt{Time: r.Time, Code: r.Outcome}
		if r.Outcome == "" {
			if slices.Contains(o.seen, issued[0]) {
				a.Expiration = issued[0].Expiration
			}
			issued = issued[1:]
		}
		all = append(all, a)
	}
	return all
}

// checkSpacing checks P5: after a success at least half of the lifetime passes, and at
// least five seconds; after the nth failure in a row half of 2^(n-1) seconds, or five
// seconds if there is a new token.
func checkSpacing(t *testing.T, source string, calls []attempt) {
	t.Helper()
	failures := 0
	for i, call := range calls {
		var least time.Duration
		if call.Expiration.IsZero() {
			least = min(500*time.Millisecond<<min(failures, 10), 5*time.Second)
			failures++
		} else {
			least = max(call.Expiration.Sub(call.Time)/2, 5*time.Second)
			failures = 0
		}
		if i+1 < len(calls) && calls[i+1].Time.Sub(call.Time) < least-slack/4 {
			t.Errorf("P5: by %s, attempt %d came %v after the previous one, want at least %v", source, i+2, calls[i+1].Time.Sub(call.Time), least)
		}
	}
}

// checkRefreshes checks P4: before 65 % of a lifetime are over, STS is called, or the log
// says why it could not be.
func (o *observer) checkRefreshes(requests, logged []attempt) {
	o.t.Helper()
	for _, granted := range requests {
		lifetime := granted.Expiration.Sub(granted.Time)
		due := span{granted.Time, granted.Time.Add(lifetime*65/100 + slack)}
		if lifetime < 10*time.Second || due.end.After(time.Now().Add(-slack)) || slices.ContainsFunc(o.excuses, due.overlaps) {
			continue
		}
		started := func(a attempt) bool { return a.Time.After(granted.Time) && a.Time.Before(due.end) }
		failed := func(a attempt) bool {
			if a.Code == "timeout" {
				a.Time = a.Time.Add(-10 * time.Second)
			}
			return a.Code != "" && started(a)
		}
		if !slices.ContainsFunc(requests, started) && !slices.ContainsFunc(logged, failed) {
			o.t.Errorf("P4: for the credentials of %v, with a lifetime of %v, no refresh had started by %v", granted.Time, lifetime, due.end)
		}
	}
}

// metric returns the value of a metric, by its name with its labels, or 0 if it is
// missing.
func metric(metrics, name string) float64 {
	for scanner := bufio.NewScanner(strings.NewReader(metrics)); scanner.Scan(); {
		if value, ok := strings.CutPrefix(scanner.Text(), name+" "); ok {
			f, _ := strconv.ParseFloat(value, 64)
			return f
		}
	}
	return 0
}
