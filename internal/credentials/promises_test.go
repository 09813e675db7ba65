package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

// TestPromises tries to break the promises of docs/guarantees.md with random histories.
// It shrinks a history that breaks one, and prints it.
func TestPromises(t *testing.T) { checkPromises(t, stsGrantor()) }

// TestPromisesWithPodIdentity does so with the EKS Pod Identity agent, which hands out old
// credentials, in place of STS.
func TestPromisesWithPodIdentity(t *testing.T) { checkPromises(t, agentGrantor()) }

// TestPromisesWithFallbackRegions does so with STS in two regions.
func TestPromisesWithFallbackRegions(t *testing.T) { checkPromises(t, regionsGrantor()) }

func checkPromises(t *testing.T, g *grantor) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		late := rapid.Bool().Draw(rt, "token comes late")
		history := rapid.SliceOfN(steps(g), 1, 30).Draw(rt, "history")
		if table, broken := try(t, g, seed, late, history); len(broken) > 0 {
			rt.Logf("\n%s\n%s", table, strings.Join(broken, "\n"))
			rt.Fatal(broken[0][:len("P1 is broken")]) // rapid shrinks only while the message stays the same
		}
	})
}

// try runs a history until a promise is broken, and returns the history as a table.
func try(t *testing.T, g *grantor, seed uint64, late bool, history []step) (rows *table, broken []string) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newTrial(t, g, seed, late)
		rows = newTable()
		for _, s := range history {
			at := time.Since(began)
			s.do(w)
			w.sleep(0)
			w.check()
			rows.row(at, s, w)
			if len(w.broken) > 0 {
				break
			}
		}
		w.checkEnd()
		broken = w.broken
	})
	return rows, broken
}

func (w *trial) breaks(promise, format string, args ...any) {
	w.broken = append(w.broken, promise+" is broken: "+fmt.Sprintf(format, args...))
}

// check checks the promises at this moment.
func (w *trial) check() {
	if err := w.checkAnswer(0); err != nil {
		// A client that finds expired credentials makes the Refresher check the clock.
		if _, err = w.ask(0); err != nil {
			w.checkSaysWhy(err)
		}
	}
	w.checkStarts()
	w.checkRecovers()
}

// P1 Credentials, once obtained, are served until their last second.
// P2 Expired or partial credentials are never served.
// P3 The Expiration served never moves backwards.
func (w *trial) checkAnswer(hold time.Duration) error {
	before := w.best
	got, err := w.ask(hold)
	now := w.now()
	switch {
	case err != nil && before.Expires.After(now):
		w.breaks("P1", "%v, while credentials are valid for %v", err, before.Expires.Sub(now))
	case err != nil:
		return err
	case !complete(got):
		w.breaks("P2", "partial credentials were served: %+v", got)
	case !got.Expires.After(now):
		w.breaks("P2", "credentials were served that expired %v ago", now.Sub(got.Expires))
	case got != w.best:
		w.breaks("P1", "%s was served, not %s", got.AccessKeyID, w.best.AccessKeyID)
	case got.Expires.Before(w.served.Expires):
		w.breaks("P3", "Expiration was %s and is %s", w.served.Expires, got.Expires)
	}
	w.served = got
	return nil
}

// P4 A refresh starts before 65 % of the lifetime, by either clock. If the wall clock
// jumped past that point, it starts within half a minute: the loop checks the clock
// that often.
func (w *trial) checkStarts() {
	latest := w.attempts[len(w.attempts)-1]
	if latest.finished.IsZero() || latest.err != nil {
		return
	}
	lifetime := min(latest.credentials.Expires.Sub(latest.wall), w.grantor.lifetime, longestPeriod)
	if lifetime < 10*time.Second {
		return
	}
	share := time.Duration(0.65 * float64(lifetime))
	if since := time.Since(latest.finished); since > share {
		w.breaks("P4", "no refresh %v after receiving credentials for %v", since, lifetime)
	}
	if since := w.now().Sub(latest.wall); since > share && time.Since(w.jumped) > 30*time.Second {
		w.breaks("P4", "no refresh %v by the wall clock after receiving credentials for %v", since, lifetime)
	}
}

// P4 With nothing valid left, credentials are back within 70 s of STS working again.
func (w *trial) checkRecovers() {
	if !w.wouldGrant() || w.jumped.After(w.works) {
		w.works = time.Time{}
	}
	if w.works.IsZero() && w.wouldGrant() {
		w.works = time.Now()
	}
	if w.works.IsZero() {
		return
	}
	if since := min(time.Since(w.works), w.now().Sub(w.best.Expires)); since > 70*time.Second {
		w.breaks("P4", "no credentials %v after %s works again", since, w.grantor.name)
	}
}

// P5 STS is never called more often than the schedule and the back-off allow. After a
// success the wait is at least half the lifetime; after the nth failure it is at least
// half of 2ⁿ⁻¹ seconds, or half a minute if that is less. After a throttled answer that is not
// the first, and while there is time, it is at least 7.5 s. Between two STSs that are asked in
// turn it is at least 15 s where it would be half a minute. A changed token may
// shorten the wait after a failure, and a forward jump of the wall clock any wait, but never
// to less than five seconds after the last call.
//
// checkSpacing is called when an attempt starts.
func (w *trial) checkSpacing() {
	if len(w.attempts) == 0 {
		return
	}
	latest := w.attempts[len(w.attempts)-1]
	failures, throttled := w.inARow()
	wait := time.Second << min(max(failures-1, 0), 6) / 2
	wait = min(wait, 30*time.Second)
	if failures > 0 && reasonFor(latest.err, nil).elsewhere {
		wait = min(wait, 15*time.Second) // each of the two STSs is asked every 30 seconds
	}
	if failures == 0 {
		wait = max(5*time.Second, min(latest.credentials.Expires.Sub(latest.wall), w.grantor.lifetime, longestPeriod)/2)
	} else if latest.throttled() {
		wait = w.throttledWait(latest, wait, throttled)
	}
	hurried := w.jumpedAhead || w.forced || w.woken && failures > 0
	w.jumpedAhead, w.woken, w.forced = false, false, false
	if hurried {
		wait = min(wait, 5*time.Second)
		for _, a := range slices.Backward(w.attempts) {
			if a.sent() {
				latest = a
				break
			}
			latest.finished = time.Time{}
		}
	}
	if since := time.Since(latest.finished); since < wait {
		w.breaks("P5", "attempt %d came %v after the previous one and %d failures in a row, %d throttled, want at least %v", len(w.attempts)+1, since, failures, throttled, wait)
	}
}

// throttledWait returns the shortest wait after the given throttled answer since the last
// success, if wait is that after another failure.
func (w *trial) throttledWait(latest attempt, wait time.Duration, throttled int) time.Duration {
	if throttled == 1 || !w.best.Expires.After(latest.wall) {
		return wait
	}
	return 7500 * time.Millisecond
}

// inARow returns how many failures there were since the last success, and how many throttled
// answers are among them.
func (w *trial) inARow() (failures, throttled int) {
	for _, a := range slices.Backward(w.attempts) {
		if a.err == nil {
			break
		}
		failures++
		if a.throttled() {
			throttled++
		}
	}
	return failures, throttled
}

// P6 No secret leaves except in the body of an authorized answer.
func (w *trial) checkSecrets() {
	var everything bytes.Buffer
	everything.Write(w.log.Bytes())
	families, err := w.reg.Gather()
	if err != nil {
		w.breaks("P7", "no metrics: %v", err)
	}
	fmt.Fprint(&everything, families)
	var secrets []string
	for _, token := range w.tokens {
		secrets = append(secrets, strings.Split(token, ".")...)
	}
	for _, c := range slices.Concat(w.sts.Credentials(), w.other.Credentials()) {
		secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	}
	for _, secret := range secrets {
		if secret != "" && bytes.Contains(everything.Bytes(), []byte(secret)) {
			w.breaks("P6", "%q is in the log or the metrics", secret)
		}
	}
}

// P7 The sidecar always says why: while it is not ready, the log, the message of the 503
// and a metric give the reason.
func (w *trial) checkSaysWhy(err error) {
	why, ok := errors.AsType[coded](err)
	if !ok || !slices.Contains(w.codes, why.ErrorCode()) || why.ErrorMessage() == "" {
		w.breaks("P7", "not a reason: %v", err)
		return
	}
	if w.hasFailed() {
		logged := w.lastLogged("refresh failed")
		if logged.Code != why.ErrorCode() || logged.Error != why.ErrorMessage() {
			w.breaks("P7", "the log says %+v, not %v", logged, err)
		}
		if testutil.CollectAndCount(w.metrics.failing) != 1 || testutil.ToFloat64(w.metrics.failing.WithLabelValues(why.ErrorCode())) != 1 {
			w.breaks("P7", "refresh_failing does not say %s", why.ErrorCode())
		}
		return
	}
	// Nothing failed: there are no credentials yet, or the clock jumped past their expiry.
	message, since := "credentials have expired", min(time.Since(w.jumped), w.now().Sub(w.best.Expires))
	if w.best.AccessKeyID == "" {
		message, since = "asking for the first credentials", time.Hour
	}
	if since > 30*time.Second && w.lastLogged(message).Message == "" {
		w.breaks("P7", "the log does not say %q", message)
	}
	if expiration := testutil.ToFloat64(w.metrics.expiration); expiration > seconds(w.now()) {
		w.breaks("P7", "credentials_expiration_timestamp_seconds is in the future")
	}
}

// hasFailed reports whether the latest finished attempt failed.
func (w *trial) hasFailed() bool {
	for _, a := range slices.Backward(w.attempts) {
		if !a.finished.IsZero() {
			return a.err != nil
		}
	}
	return false
}

// line is a line of the log.
type line struct {
	Message string `json:"msg"`
	Code    string
	Error   string
}

// lastLogged returns the latest line with this message, or a zero line.
func (w *trial) lastLogged(message string) (last line) {
	log := w.log.Bytes()
	at := bytes.LastIndex(log, fmt.Appendf(nil, `"msg":%q`, message))
	if at < 0 {
		return line{}
	}
	raw, _, _ := bytes.Cut(log[bytes.LastIndexByte(log[:at], '\n')+1:], []byte("\n"))
	if err := json.Unmarshal(raw, &last); err != nil {
		w.breaks("P7", "the log cannot be read: %v", err)
	}
	return last
}

// P8 The sidecar stops within a second.
func (w *trial) checkEnd() {
	if took, err := w.end(); took > time.Second || err != nil {
		w.breaks("P8", "Run returned %v after it was canceled, with %v", took, err)
	}
	w.checkSecrets()
}
