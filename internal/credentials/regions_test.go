package credentials

import (
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
