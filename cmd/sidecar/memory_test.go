package main

import (
	"runtime/debug"
	"testing"
)

// An operator's limit takes precedence.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for operators, want := range map[string]int64{"": 32 << 20, "1GiB": before} {
		debug.SetMemoryLimit(before)
		limitMemory(func(string) string { return operators })
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("with GOMEMLIMIT=%q: the limit is %d, want %d", operators, got, want)
		}
	}
}
