package credentials

import (
	"context"
	"errors"
	"time"

	"pgregory.net/rapid"

	"irsa-sidecar/test/standin"
)

// outages begin in the region itself, so that the fallback region is asked.
func outages() *rapid.Generator[step] {
	down := []failure{{"is down", standin.Answer(503, "", "")}, {"hangs", standin.Hang()}, {"resets the connection", standin.Reset()}}
	return rapid.Map(rapid.SampledFrom(down), func(f failure) step {
		return step{"STS " + f.what, func(w *trial) {
			w.sts.Always(f.fault)
			w.fails = true
		}}
	})
}

// otherAnswers changes how the fallback region answers from now on.
func otherAnswers(g *grantor) *rapid.Generator[step] {
	return rapid.OneOf(
		rapid.Just(step{"fallback region is well again", func(w *trial) {
			w.other.Always(nil)
			w.otherFails = false
		}}),
		rapid.Map(rapid.SampledFrom(g.failures), func(f failure) step {
			return step{"fallback region " + f.what, func(w *trial) {
				w.other.Always(f.fault)
				w.otherFails = true
			}}
		}))
}

// operatorRefreshes asks for new credentials several times, which may cause one attempt a minute.
func operatorRefreshes() *rapid.Generator[step] {
	return rapid.Just(step{"operator refreshes five times", func(w *trial) {
		done, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits for the result
		for range 5 {
			if w.forcedAt.IsZero() || time.Since(w.forcedAt) >= time.Minute {
				w.forced, w.forcedAt = true, time.Now()
			}
			w.Refresh(done)
			w.sleep(time.Second)
		}
	}})
}

// Session policies: STS refuses the bad one.
const (
	goodPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	newPolicy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}`
	badPolicy  = `{"Version":"2012-10-17"}`
)

// policyChanges changes the file with the session policy.
func policyChanges() *rapid.Generator[step] {
	becomes := func(what, content string) step {
		return step{"policy file " + what, func(w *trial) { w.policy, w.policyTried = content, false }}
	}
	return rapid.SampledFrom([]step{
		becomes("is as at the start", goodPolicy), becomes("is another", newPolicy), becomes("is unreadable", ""), becomes("is one that STS refuses", badPolicy),
	})
}

func (w *trial) readPolicy() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.policy == "" {
		return "", errors.New("the file does not hold JSON")
	}
	return w.policy, nil
}

// policyIsGood reports whether STS accepts the policy that the next call has: after it has
// refused a bad one, that is the last one that it accepted, if there is one.
func (w *trial) policyIsGood() bool {
	return w.policy != badPolicy || w.policyTried && w.best.AccessKeyID != ""
}
