package sts

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/standin"
)

// TestLongestDuration checks what is asked for with --duration max, attempt by attempt.
func TestLongestDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		max  time.Duration // of the role
		want []string
	}{
		{12 * time.Hour, []string{"43200", "43200"}},
		{5 * time.Hour, []string{"43200", "28800", "14400", "14400"}},
		{time.Hour, []string{"43200", "28800", "14400", "7200", "3600", "3600"}},
	}
	for _, tt := range tests {
		t.Run(tt.max.String(), func(t *testing.T) {
			t.Parallel()
			sts, srv := newStandin(t)
			sts.AddRole(standin.Role{ARN: role, MaxDuration: tt.max})
			s := NewSession(New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), Longest(), nil, slog.New(slog.DiscardHandler))
			for range tt.want {
				exchange(t.Context(), s, issuer.Token(standin.Claims{}))
			}
			var asked []string
			for _, r := range sts.Requests() {
				asked = append(asked, r.Form.Get("DurationSeconds"))
			}
			if !slices.Equal(asked, tt.want) {
				t.Errorf("asked for %v, want %v", asked, tt.want)
			}
			if n := len(sts.Credentials()); n != 2 {
				t.Errorf("%d credentials were granted, want 2: what works is remembered", n)
			}
		})
	}
}

// Other failures do not shorten the session, and there is nothing shorter than an hour.
func TestLongestDurationIsKept(t *testing.T) {
	t.Parallel()
	sts, srv := newStandin(t)
	sts.AddRole(standin.Role{ARN: role, MaxDuration: 12 * time.Hour})
	s := NewSession(New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), Longest(), nil, slog.New(slog.DiscardHandler))
	for _, fault := range []standin.Fault{standin.Refuse(400, "ValidationError", "another parameter"), standin.Refuse(403, "AccessDenied", "MaxSessionDuration"), standin.Answer(500, "", ""), standin.Reset(), nil} {
		sts.Next(fault)
		exchange(t.Context(), s, issuer.Token(standin.Claims{}))
	}
	if got := sts.Requests()[4].Form.Get("DurationSeconds"); got != "43200" {
		t.Errorf("asked for %s", got)
	}
	for range 8 {
		sts.Next(standin.Refuse(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
		exchange(t.Context(), s, issuer.Token(standin.Claims{}))
	}
	if got := sts.Requests()[12].Form.Get("DurationSeconds"); got != "3600" {
		t.Errorf("asked for %s", got)
	}
}

// policyFor returns a session policy.
func policyFor(account string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + account + `/*"}]}`
}

// TestPolicyChanges checks which session policy is sent while its file changes.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	sts, srv := newStandin(t)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	files := NewFiles(slog.New(slog.NewJSONHandler(&log, nil)), reg)
	first, second, third := policyFor("1"), policyFor("2"), policyFor("3")
	content, unreadable := first, error(nil)
	policy := Reload(files, "session-policy-file", content, func() (string, error) { return content, unreadable })
	s := NewSession(New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), nil, policy, slog.New(slog.DiscardHandler))
	steps := []struct {
		name       string
		content    string
		unreadable error
		refuses    bool
		want       string
		stale      float64
	}{
		{"as at the start", first, nil, false, first, 0},
		{"unreadable", second, errors.New("the file does not hold JSON"), false, first, 1},
		{"still unreadable", second, errors.New("the file does not hold JSON"), false, first, 1},
		{"changed", second, nil, false, second, 0},
		{"refused", third, nil, true, third, 0},
		{"the last one that was accepted", third, nil, false, second, 1},
		{"and again", third, nil, false, second, 1},
		{"corrected", first, nil, false, first, 0},
		{"no longer refused as such", first, nil, true, first, 0},
	}
	for _, step := range steps {
		content, unreadable = step.content, step.unreadable
		if step.refuses {
			sts.Next(standin.Refuse(400, "MalformedPolicyDocument", "no"))
		}
		exchange(t.Context(), s, issuer.Token(standin.Claims{}))
		requests := sts.Requests()
		if got := requests[len(requests)-1].Form.Get("Policy"); got != step.want {
			t.Errorf("%s: sent %s, want %s", step.name, got, step.want)
		}
		if got := testutil.ToFloat64(files.stale.WithLabelValues("session-policy-file")); got != step.stale {
			t.Errorf("%s: irsa_sidecar_setting_stale is %v, want %v", step.name, got, step.stale)
		}
	}
	for message, want := range map[string]int{"file of a setting cannot be used": 2, "file of a setting can be used again": 2, "STS refuses the policy": 1, "Version": 0} {
		if n := strings.Count(log.String(), message); n != want {
			t.Errorf("the log has %q %d times, want %d:\n%s", message, n, want, &log)
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// A policy that STS refuses from the start is not left out: it restricts the role.
func TestARefusedPolicyIsNotLeftOut(t *testing.T) {
	t.Parallel()
	sts, srv := newStandin(t)
	files := NewFiles(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	policy := Reload(files, "session-policy-file", "{", func() (string, error) { return "{}", nil })
	s := NewSession(New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), nil, policy, slog.New(slog.DiscardHandler))
	for range 3 {
		sts.Next(standin.Refuse(400, "PackedPolicyTooLarge", "no"))
		exchange(t.Context(), s, issuer.Token(standin.Claims{}))
	}
	for i, r := range sts.Requests() {
		if r.Form.Get("Policy") != "{}" {
			t.Errorf("request %d has the policy %q", i, r.Form.Get("Policy"))
		}
	}
}
