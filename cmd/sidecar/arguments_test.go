package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestParseArguments(t *testing.T) {
	tests := []struct {
		name     string
		args     string
		want     arguments
		problems []string // what each must contain
	}{
		{name: "nothing"},
		{name: "command", args: "ready", want: arguments{command: "ready"}},
		{
			name: "flags on both sides of the command", args: "--region eu-west-1 ready -listen=127.0.0.1:1",
			want: arguments{command: "ready", flags: map[string]string{"region": "eu-west-1", "listen": "127.0.0.1:1"}},
		},
		{name: "an empty value", args: "--region= ready", want: arguments{command: "ready", flags: map[string]string{"region": ""}}},
		{name: "operands", args: "--log-level debug link-local 169.254.170.2 ready", want: arguments{
			command: "link-local", flags: map[string]string{"log-level": "debug"}, operands: []string{"169.254.170.2", "ready"},
		}},
		{name: "help", args: "--help", want: arguments{help: true}},
		{name: "help after the command", args: "ready -h", want: arguments{help: true, command: "ready"}},
		{name: "version", args: "--version", want: arguments{version: true}},
		{name: "unknown command", args: "serve", want: arguments{command: "serve"}, problems: []string{`unknown command "serve"`}},
		{name: "two commands", args: "ready ready", want: arguments{command: "ready"}, problems: []string{"more than one command"}},
		{name: "no value", args: "--region", want: arguments{flags: map[string]string{"region": ""}}, problems: []string{"--region: needs a value"}},
		{
			name: "everything at once", args: "--bogus=1 --region x --other run --listen",
			want:     arguments{flags: map[string]string{"region": "x", "listen": ""}},
			problems: []string{"unknown flag --bogus", "unknown flag --other", "--listen: needs a value"},
		},
		{
			name: "secrets given to flags that are not there", args: "--authorization-token hunter2 --path=hunter2 ---path=hunter2 ready",
			want:     arguments{command: "ready"},
			problems: []string{"unknown flag --authorization-token", "unknown flag --path", "unknown flag --path"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := parseArguments(strings.Fields(tt.args))
			if got.command != tt.want.command || got.help != tt.want.help || got.version != tt.want.version || !maps.Equal(got.flags, tt.want.flags) || !slices.Equal(got.operands, tt.want.operands) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if len(problems) != len(tt.problems) {
				t.Fatalf("got problems %v, want %v", problems, tt.problems)
			}
			for i, problem := range problems {
				if !strings.Contains(problem.Error(), tt.problems[i]) {
					t.Errorf("got problem %q, want %q", problem, tt.problems[i])
				}
			}
			if err := errors.Join(problems...); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v repeats a secret", err)
			}
		})
	}
}

func TestUsageNamesEveryFlag(t *testing.T) {
	for _, name := range flagNames() {
		if !strings.Contains(usage, "  --"+name+" ") {
			t.Errorf("the usage text lacks --%s", name)
		}
	}
	if !strings.Contains(usage, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9911/v1/credentials\n") {
		t.Error("the usage text lacks the line for the application's container")
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add("--region\neu-west-1\nready")
	f.Add("link-local\n169.254.170.2\n--region")
	f.Add("---\n-=\n--\n-")
	f.Add("--version=maybe\n--help")
	f.Fuzz(func(t *testing.T, line string) {
		a, problems := parseArguments(strings.Split(line, "\n"))
		if a.command != "" && a.command != "ready" && a.command != "link-local" && len(problems) == 0 {
			t.Errorf("command %q is no problem", a.command)
		}
	})
}
