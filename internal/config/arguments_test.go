package config

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"irsa-sidecar/internal/token"
)

func TestParseArguments(t *testing.T) {
	tests := []struct {
		name     string
		args     string
		want     Arguments
		problems []string // what each must contain
	}{
		{name: "nothing"},
		{name: "command", args: "ready", want: Arguments{Command: "ready"}},
		{
			name: "flags on both sides of the command", args: "--region eu-west-1 ready -listen=127.0.0.1:1",
			want: Arguments{Command: "ready", flags: map[string]string{"region": "eu-west-1", "listen": "127.0.0.1:1"}},
		},
		{name: "an empty value", args: "--region= ready", want: Arguments{Command: "ready", flags: map[string]string{"region": ""}}},
		{name: "operands", args: "--log-level debug link-local 169.254.170.2 ready", want: Arguments{
			Command: "link-local", flags: map[string]string{"log-level": "debug"}, operands: []string{"169.254.170.2", "ready"},
		}},
		{name: "help", args: "--help", want: Arguments{Help: true}},
		{name: "help after the command", args: "ready -h", want: Arguments{Help: true, Command: "ready"}},
		{name: "version", args: "--version", want: Arguments{Version: true}},
		{name: "unknown command", args: "serve", problems: []string{"argument 1: unknown command"}},
		{name: "two commands", args: "ready ready", want: Arguments{Command: "ready"}, problems: []string{"argument 2: more than one command"}},
		{name: "an unknown command before one", args: "serve ready", want: Arguments{Command: "ready"}, problems: []string{"argument 1: unknown command"}},
		{name: "no value", args: "--region", want: Arguments{flags: map[string]string{"region": ""}}, problems: []string{"--region: needs a value"}},
		{
			name: "everything at once", args: "--bogus=1 --region x --other run --listen",
			want:     Arguments{flags: map[string]string{"region": "x", "listen": ""}},
			problems: []string{"argument 1: unknown flag", "argument 4: unknown flag", "--listen: needs a value"},
		},
		{
			name: "a known flag after an unknown one is not its value", args: "--bogus --region=x ready",
			want:     Arguments{Command: "ready", flags: map[string]string{"region": "x"}},
			problems: []string{"argument 1: unknown flag"},
		},
		{name: "help after an unknown flag", args: "--bogus --help", want: Arguments{Help: true}, problems: []string{"argument 1: unknown flag"}},
		{
			name: "a value that begins with a dash", args: "--bogus -x ready",
			want:     Arguments{Command: "ready"},
			problems: []string{"argument 1: unknown flag"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseArguments(strings.Fields(tt.args))
			if got.Command != tt.want.Command || got.Help != tt.want.Help || got.Version != tt.want.Version || !maps.Equal(got.flags, tt.want.flags) || !slices.Equal(got.operands, tt.want.operands) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if len(got.problems) != len(tt.problems) {
				t.Fatalf("got problems %v, want %v", got.problems, tt.problems)
			}
			for i, problem := range got.problems {
				if !strings.Contains(problem, tt.problems[i]) {
					t.Errorf("got problem %q, want %q", problem, tt.problems[i])
				}
			}
		})
	}
}

// P6: whatever a secret on the command line looks like, and wherever it is, no error
// repeats it: it is also in the termination log, and in the pod's status.
func TestArgumentsAreNotRepeated(t *testing.T) {
	lines := []string{
		"%s", "-%s", "--%s", "---%s", "--%s=1", "ready %s", "ready -%s", "%s ready", "%s %s", "link-local %s", "link-local -%s", "link-local 169.254.170.2 %s",
		"--authorization-token %s", "--authorization-token -%s", "--authorization-token --%s", "--authorization-token=%s", "---path=-%s", "--path %s ready",
		"--verbose --authorization-token %s", "--verbose --authorization-token -%s", "--path -%s -%s", "--path -x -%s", "--authorization-token x %s",
	}
	for _, s := range settings() {
		if s.flag != "" {
			lines = append(lines, "--"+s.flag+" %s", "--"+s.flag+" -%s", "--"+s.flag+"=%s", "--bogus --"+s.flag+" %s")
		}
	}
	for _, secret := range []string{"q7Zc0Vf3kX-_w2RtYb9mLs", "secretofwordsonlyyes", "secret-of-words-only", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0", "Aa1/Bb2+Cc3/Dd4+Ee5/Ff=="} {
		for _, line := range lines {
			words := strings.Fields(strings.ReplaceAll(line, "%s", secret))
			_, err := Load(ParseArguments(words), func(string) string { return "" }, token.ReadFile)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: got %v", line, err)
			}
		}
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add("--region\neu-west-1\nready")
	f.Add("link-local\n169.254.170.2\n--region")
	f.Add("---\n-=\n--\n-")
	f.Add("--version=maybe\n--help")
	f.Fuzz(func(t *testing.T, line string) {
		const canary = "hunter2canary"
		words := strings.Split(line, "\n")
		for i, word := range words {
			if name, _, hasValue := cutFlag(word); hasValue || !hasFlag(name) && word != Ready && word != LinkLocal {
				words[i] += canary
			}
		}
		if problems := strings.Join(ParseArguments(words).problems, "\n"); strings.Contains(problems, canary) {
			t.Errorf("%q is repeated: %s", words, problems)
		}
		a := ParseArguments(strings.Split(line, "\n"))
		if a.Command != Serve && a.Command != Ready && a.Command != LinkLocal && len(a.problems) == 0 {
			t.Errorf("command %q is accepted", a.Command)
		}
	})
}
