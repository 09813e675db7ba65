package main

import (
	"strings"
	"testing"

	"irsa-sidecar/internal/config"
)

func TestConfigurationErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--bogus", "--duration=1s", "--region", "x y", "what"}, {"ready", "--bogus", "what", "--duration=1s", "--region", "x y", "what"}} {
		status, output := outcome(command(t, nil, args...))
		if status != 2 {
			t.Errorf("%q: exit status %d, want 2", args, status)
		}
		for _, want := range []string{"unknown flag", "unknown command", "--duration", "--region", "--role-arn", "--token-file"} {
			if !strings.Contains(output, want) {
				t.Errorf("%q: output %q does not contain %q", args, output, want)
			}
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"--help": config.Usage(), "-h": config.Usage(), "--version": readBuild().String() + "\n"} {
		cmd := command(t, nil, "--bogus", arg) // other errors do not matter
		out, err := cmd.Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: got %q, %v, want %q", arg, out, err, want)
		}
	}
}
