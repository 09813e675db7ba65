package main

import (
	"os"
	"os/exec"
	"reflect"
	"testing"
)

func TestParseLinks(t *testing.T) {
	got := parseLinks("# A\n- [TestNone](../a/b_test.go)\n## P1 One\n\ntext [TestInline](../a/b_test.go)\n- [TestA](../a/b_test.go): why\n- [TestB](../a/c_test.go)\n- [TestC](../c/d_test.go)\n## P2 Two\n## Other\n- [TestD](../a/b_test.go)\n")
	want := map[string]tests{"P1": {"a": {"TestA", "TestB"}, "c": {"TestC"}}, "P2": {}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFailure(t *testing.T) {
	tests := []struct{ name, output, want string }{
		{"failed", "ok\n--- FAIL: TestA (0.01s)\n    a_test.go:1: no\nFAIL\n", "TestA"},
		{"failed subtest", "--- FAIL: TestA (0.01s)\n    --- FAIL: TestA/b (0.01s)\n", "TestA"},
		{"timed out", "panic: test timed out after 5m0s\n\trunning tests:\n\t\tTestA (5m0s)\n", "TestA"},
		{"panicked in a bubble", "panic: oops\n\nirsa-sidecar/internal/credentials.TestA.func1(0x1)\n\t/x/a_test.go:1\n", "TestA"},
		{"does not compile", "# irsa-sidecar/a\na.go:1: oops\nFAIL\tirsa-sidecar/a [build failed]\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := failure(tt.output); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Each promise has mutants, and tests to catch them.
func TestEveryPromiseIsBroken(t *testing.T) {
	mutants, err := readMutants(".", nil)
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]int{}
	for _, m := range mutants {
		broken[m.promise]++
	}
	for promise, linked := range parseLinks(string(document)) {
		if broken[promise] == 0 || len(linked) == 0 {
			t.Errorf("%s has %d mutants and tests in %d packages", promise, broken[promise], len(linked))
		}
		delete(broken, promise)
	}
	if len(broken) > 0 {
		t.Errorf("mutants of no promise: %v", broken)
	}
}

// Every mutant is in one part, and a part that does not exist is an error.
func TestOnlyPart(t *testing.T) {
	all := []mutant{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}
	seen := map[string]int{}
	for _, part := range []string{"0/3", "1/3", "2/3"} {
		some, err := onlyPart(all, part)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range some {
			seen[m.name]++
		}
	}
	if want := map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}; !reflect.DeepEqual(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	for _, part := range []string{"", "1", "3/3", "-1/3", "0/0"} {
		if _, err := onlyPart(all, part); err == nil {
			t.Errorf("-part %q is no error", part)
		}
	}
}

// Those that are not tried this time are not forgotten when the code changes.
func TestPatchesApply(t *testing.T) {
	mutants, err := readMutants(".", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		check := exec.CommandContext(t.Context(), "git", "apply", "--check", m.patch)
		check.Dir = "../.."
		if output, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply, recreate it: %v\n%s", m.name, err, output)
		}
	}
}
