package check

import (
	"context"
	"strings"
	"testing"
)

// The fallback regions are looked at too; one that is out of reach is no failure.
func TestFallbackRegions(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	for region, failure := range map[string]*Failure{"eu-central-1": nil, "eu-west-2": {What: "timed out", Fix: "fix"}} {
		s.Fallback = append(s.Fallback, Fallback{region, func(ctx context.Context) (Reach, *Failure) {
			if _, limited := ctx.Deadline(); !limited {
				t.Error("it may take for ever")
			}
			return Reach{Host: "sts." + region + ".amazonaws.com"}, failure
		}})
	}
	var all strings.Builder
	failed := Run(t.Context(), s, func(r Result) { all.WriteString(r.all() + "\n") })
	for _, want := range []string{"ok network fallback region eu-central-1: sts.eu-central-1.amazonaws.com directly", "warn network fallback region eu-west-2: timed out have the pod reach it"} {
		if failed || !strings.Contains(all.String(), want) {
			t.Errorf("failed is %t, it lacks %q: %s", failed, want, &all)
		}
	}
}
