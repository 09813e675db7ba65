// Package check walks the troubleshooting list: step by step, from the settings to what
// clients are served, it finds out what is wrong, what that proves, and what to do.
//
// It exists because most causes are outside the sidecar, in IAM, in the network, in the pod's
// specification, and no single error names them. It knows no other package: whatever it asks
// is a function that it is given.
package check

import (
	"context"
	"fmt"
	"strings"
	"unicode"
)

// Status is the outcome of a step.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Failed  Status = "FAIL"
	Warned  Status = "warn"
	Skipped Status = "skip"
)

// Result is what a step found out. Nothing in it is a secret.
type Result struct {
	Step   string   `json:"step"`
	Status Status   `json:"status"`
	Text   string   `json:"text"`
	Advice []string `json:"advice,omitempty"` // what to do, a sentence each
	Paste  string   `json:"paste,omitempty"`  // a command, or a policy
}

// Run checks a setup and reports the results, one at a time. It returns whether a step
// failed. When ctx ends, what is left is skipped.
func Run(ctx context.Context, s *Setup, report func(Result)) (failed bool) {
	r := &run{Setup: s}
	for _, step := range steps(s) {
		var found outcome
		switch {
		case ctx.Err() != nil:
		case s.Offline && step.online:
			found = skip("--offline")
		default:
			found = step.find(r, ctx)
		}
		if ctx.Err() != nil { // also when it ended the step
			found = skip("interrupted")
		}
		for _, one := range found {
			one.Step = step.name
			report(one.clean())
			failed = failed || one.Status == Failed
		}
	}
	return failed || ctx.Err() != nil
}

// outcome is what a step found out: one Result, or one for each of several things.
type outcome []Result

// result returns one Result. It is not inlined: that would be 75 copies.
//
//go:noinline
func result(status Status, format string, args []any) outcome {
	return outcome{{Status: status, Text: fmt.Sprintf(format, args...)}}
}

func ok(format string, args ...any) outcome   { return result(OK, format, args) }
func skip(format string, args ...any) outcome { return result(Skipped, format, args) }
func warn(format string, args ...any) outcome { return result(Warned, format, args) }
func fail(format string, args ...any) outcome { return result(Failed, format, args) }

// advise adds what to do.
func (o outcome) advise(advice ...string) outcome {
	o[0].Advice = advice
	return o
}

// paste adds what is to be pasted.
func (o outcome) paste(text string) outcome {
	o[0].Paste = text
	return o
}

// clean makes a result fit for a terminal, whoever wrote what it repeats: claims, names and
// texts from outside may have control characters.
func (r Result) clean() Result {
	r.Text = clean(r.Text)
	for i, advice := range r.Advice {
		r.Advice[i] = clean(advice)
	}
	lines := strings.Split(r.Paste, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	r.Paste = strings.Join(lines, "\n")
	return r
}

func clean(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) {
			return ' '
		}
		return c
	}, text)
}
