package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
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
		{name: "unknown command", args: "serve", want: Arguments{Command: "serve"}, problems: []string{`unknown command "serve"`}},
		{name: "two commands", args: "ready ready", want: Arguments{Command: "ready"}, problems: []string{"more than one command"}},
		{name: "no value", args: "--region", want: Arguments{flags: map[string]string{"region": ""}}, problems: []string{"--region: needs a value"}},
		{
			name: "everything at once", args: "--bogus=1 --region x --other run --listen",
			want:     Arguments{flags: map[string]string{"region": "x", "listen": ""}},
			problems: []string{"unknown flag --bogus", "unknown flag --other", "--listen: needs a value"},
		},
		{
			name: "secrets in unknown flags", args: "--authorization-token hunter2 --path=hunter2 ---path=hunter2 ready",
			want:     Arguments{Command: "ready"},
			problems: []string{"unknown flag --authorization-token", "unknown flag --path", "unknown flag --path"},
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
			if text := strings.Join(got.problems, "\n"); strings.Contains(text, "hunter2") {
				t.Errorf("%s repeats a secret", text)
			}
		})
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add("--region\neu-west-1\nready")
	f.Add("link-local\n169.254.170.2\n--region")
	f.Add("---\n-=\n--\n-")
	f.Add("--version=maybe\n--help")
	f.Fuzz(func(t *testing.T, line string) {
		a := ParseArguments(strings.Split(line, "\n"))
		if a.Command != Serve && a.Command != Ready && a.Command != LinkLocal && len(a.problems) == 0 {
			t.Errorf("command %q is accepted", a.Command)
		}
	})
}
