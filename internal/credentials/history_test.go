package credentials

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"pgregory.net/rapid"

	"irsa-sidecar/test/standin"
)

// step is something that happens to a sidecar.
type step struct {
	what string
	do   func(*trial)
}

// GoString returns what rapid prints.
func (s step) GoString() string { return s.what }

// steps draws a step. The simplest comes first: rapid shrinks towards it.
func steps(g *grantor) *rapid.Generator[step] {
	all := []*rapid.Generator[step]{timePasses(), timePasses(), allIsWell(), grantorAnswers(g), grantorFailsOnce(g), grantorExaggeratesOnce(g), tokenChanges(), tokenFlaps(), clockJumps(), awsClockDrifts(), clientWaits(), operatorRefreshes()}
	if g.regions {
		all = append(all, outages(), otherAnswers(g), otherAnswers(g), policyChanges())
	}
	return rapid.OneOf(all...)
}

// duration draws a duration from a second to 13 hours, short ones as often as long ones.
func duration() *rapid.Generator[time.Duration] {
	within := func(from, to time.Duration) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.Int64Range(int64(from/time.Second), int64(to/time.Second)), func(n int64) time.Duration { return time.Duration(n) * time.Second })
	}
	return rapid.OneOf(within(time.Second, time.Minute), within(time.Minute, 80*time.Minute), within(80*time.Minute, 13*time.Hour))
}

func timePasses() *rapid.Generator[step] {
	return rapid.Map(duration(), func(d time.Duration) step {
		return step{fmt.Sprintf("%v passes", d), func(w *trial) { w.pass(d) }}
	})
}

// allIsWell fixes everything except the clocks.
func allIsWell() *rapid.Generator[step] {
	return rapid.Just(step{"all is well again", func(w *trial) {
		w.grantor.faults(w).Always(nil)
		w.other.Always(nil)
		w.grantor.trusts[0].do(w)
		w.grantor.grants(w, time.Hour)
		w.fails, w.otherFails, w.distrusts, w.grants = false, false, false, time.Hour
		w.policy, w.policyTried = goodPolicy, false
		w.publishGood()
		w.wakeUp()
	}})
}

// grantorAnswers changes how the grantor answers from now on.
func grantorAnswers(g *grantor) *rapid.Generator[step] {
	grants := rapid.Map(duration(), func(d time.Duration) step {
		return step{fmt.Sprintf("%s grants %v", g.name, d), func(w *trial) {
			g.grants(w, d)
			g.faults(w).Always(nil)
			w.grants, w.fails = d, false
		}}
	})
	fails := rapid.Map(rapid.SampledFrom(g.failures), func(f failure) step {
		return step{g.name + " " + f.what, func(w *trial) {
			g.faults(w).Always(f.fault)
			w.fails = true
		}}
	})
	trusts := rapid.Map(rapid.IntRange(0, len(g.trusts)-1), func(n int) step {
		return step{g.trusts[n].what, func(w *trial) {
			g.trusts[n].do(w)
			w.distrusts = n > 0
		}}
	})
	return rapid.OneOf(grants, fails, trusts)
}

func grantorFailsOnce(g *grantor) *rapid.Generator[step] {
	return rapid.Map(rapid.SampledFrom(g.failures), func(f failure) step {
		return step{g.name + " once " + f.what, func(w *trial) {
			w.failures++
			g.faults(w).Next(func(next http.Handler) http.Handler {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.failures--
				return f.fault(next)
			})
		}}
	})
}

func grantorExaggeratesOnce(g *grantor) *rapid.Generator[step] {
	return rapid.Just(step{g.name + " once grants credentials until the year 9999", func(w *trial) { g.faults(w).Next(g.endless) }})
}

type failure struct {
	what  string
	fault standin.Fault
}

// tooLong is more bytes than the STS client reads of an answer.
const tooLong = 512 << 10

// failures returns the ways in which a call to STS can fail.
func failures() []failure {
	all := []failure{
		{"throttles by code", standin.Refuse(400, "Throttling", "Rate exceeded")},
		{"throttles by status", standin.Answer(429, "text/plain", "slow down")},
		{"is unavailable", standin.Refuse(503, "ServiceUnavailable", "try later")},
		{"fails without a body", standin.Answer(500, "", "")},
		{"hangs", standin.Hang()},
		{"resets the connection", standin.Reset()},
		{"sends half a body", standin.HalfBody()},
		{"drips for seconds", standin.Drip(time.Millisecond)},
		{"drips for a minute", standin.Drip(40 * time.Millisecond)},
		{"answers 200 with an error", standin.Refuse(200, "AccessDenied", "no")},
		{"is a captive portal", standin.Answer(200, "text/html", "<html>sign in</html>")},
		{"redirects to the metadata address", standin.Redirect(307, "http://169.254.169.254/latest/meta-data/")},
		{"echoes the token", standin.EchoToken()},
		{"sends a huge body", standin.HugeBody(200, tooLong)},
		{"sends a huge error", standin.HugeBody(400, tooLong)},
		{"grants no credentials", standin.NoCredentials()},
		{"grants empty credentials", standin.EmptyCredentials()},
		{"grants credentials without an expiration", standin.NoExpiration()},
		{"grants blank credentials", standin.BlankCredentials()},
		{"grants expired credentials", standin.ExpiredCredentials()},
	}
	for _, code := range []string{"AccessDenied", "ExpiredTokenException", "IDPCommunicationError", "IDPRejectedClaim", "InvalidIdentityToken", "MalformedPolicyDocument", "PackedPolicyTooLarge", "RegionDisabledException", "ValidationError"} {
		all = append(all, failure{"refuses: " + code, standin.Refuse(400, code, "message of STS")})
	}
	return all
}

func tokenChanges() *rapid.Generator[step] {
	becomes := func(what string, claims standin.Claims) step {
		return step{"token " + what, func(w *trial) {
			w.issued, w.expires = time.Time{}, time.Time{}
			w.publish(w.newToken(claims))
			w.wakeUp()
		}}
	}
	return rapid.SampledFrom([]step{
		{"token is good", func(w *trial) { w.publishGood(); w.wakeUp() }},
		{"token is gone", func(w *trial) { w.issued, w.expires = time.Time{}, time.Time{}; w.publish(""); w.wakeUp() }},
		becomes("has expired", standin.Claims{Lifetime: -time.Minute}),
		becomes("is another service account's", standin.Claims{ServiceAccount: "other"}),
		becomes("is for another audience", standin.Claims{Audience: "vault"}),
	})
}

// tokenFlaps reports many changes of the token in a row.
func tokenFlaps() *rapid.Generator[step] {
	return rapid.Map(rapid.IntRange(1, 300), func(n int) step {
		return step{fmt.Sprintf("token flaps %d times in %v", n, time.Duration(n)*200*time.Millisecond), func(w *trial) {
			for range n {
				w.wakeUp()
				w.pass(200 * time.Millisecond)
			}
		}}
	})
}

// clockJumps sets the wall clock of the node.
func clockJumps() *rapid.Generator[step] {
	return rapid.Custom(func(t *rapid.T) step {
		d := duration().Draw(t, "by")
		if rapid.Bool().Draw(t, "back") {
			d = -d
		}
		return step{fmt.Sprintf("wall clock jumps by %v", d), func(w *trial) { w.jump(d) }}
	})
}

// awsClockDrifts sets the clock of AWS relative to the bubble's.
func awsClockDrifts() *rapid.Generator[step] {
	return rapid.Map(rapid.IntRange(-90, 90), func(minutes int) step {
		d := time.Duration(minutes) * time.Minute
		return step{fmt.Sprintf("clock of AWS is ahead by %v", d), func(w *trial) { w.stsAhead.Store(int64(d)) }}
	})
}

// clientWaits requests credentials as the endpoint does for a client.
func clientWaits() *rapid.Generator[step] {
	return rapid.Just(step{"a client waits", func(w *trial) {
		start := time.Now()
		w.checkAnswer(500 * time.Millisecond)
		if waited := time.Since(start); waited > 500*time.Millisecond {
			w.breaks("P1", "a client was held for %v", waited)
		}
	}})
}

func (w *trial) publish(token string) {
	w.token = token
	w.tokens = append(w.tokens, token)
}

func (w *trial) publishGood() {
	w.issued, w.expires = time.Now(), time.Now().Add(24*time.Hour)
	w.publish(w.newToken(standin.Claims{Lifetime: 24 * time.Hour}))
}

// newToken returns a token for the grantor, unless claims have another audience.
func (w *trial) newToken(claims standin.Claims) string {
	claims.Audience = cmp.Or(claims.Audience, w.grantor.audience)
	return issuer.Token(claims)
}

func (w *trial) wakeUp() {
	w.woken = true
	w.Wake()
	w.sleep(0)
}

func (w *trial) jump(d time.Duration) {
	w.wallAhead.Add(int64(d))
	w.jumped = time.Now()
	w.jumpedAhead = w.jumpedAhead || d > 0
}

// mostCalls cuts a step short: with lifetimes of seconds, hours find no more bugs than
// minutes do.
const mostCalls = 40

// pass lets d pass and checks the promises throughout, also when the current credentials
// have a second left and when they expire.
func (w *trial) pass(d time.Duration) {
	calls := len(w.attempts)
	for left := d; left > 0 && len(w.attempts) < calls+mostCalls; {
		nap := min(left, max(d/30, time.Second))
		valid := w.best.Expires.Sub(w.now())
		for _, instant := range []time.Duration{valid - time.Second, valid} {
			if instant > 0 {
				nap = min(nap, instant)
			}
		}
		left -= nap
		w.sleep(nap)
		w.check()
	}
}

// table shows what happened in a history.
type table struct {
	text strings.Builder
	tabs *tabwriter.Writer
}

func newTable() *table {
	t := new(table)
	t.tabs = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t.tabs, "time\twall clock\tstep\tcalls\tserved afterwards")
	return t
}

// row adds a step that started at this time after the beginning.
func (t *table) row(at time.Duration, s step, w *trial) {
	c, err := w.ask(0)
	served := fmt.Sprintf("%s, for %v", c.AccessKeyID, c.Expires.Sub(w.now()))
	if err != nil {
		served, _, _ = strings.Cut("none: "+err.Error(), " (HTTP")
	}
	fmt.Fprintf(t.tabs, "%v\t%+v\t%s\t%d\t%s\n", at, time.Duration(w.wallAhead.Load()), s.what, len(w.attempts), served)
}

func (t *table) String() string {
	t.tabs.Flush()
	return t.text.String()
}
