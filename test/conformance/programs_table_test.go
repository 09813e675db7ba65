package main

import "testing"

// The table says where a program works, and where it takes the node's role.
func TestAdvice(t *testing.T) {
	for _, test := range []struct {
		name           string
		verdicts       map[string]string
		use, otherwise string
	}{
		{"works everywhere", map[string]string{"work": "ok", "ecs_work": "ok", "imds_work": "ok", "imds_v2_work": "ok", "work_unavailable": "fails"},
			"full URI, ECS, IMDS", "–"},
		{"only gets credentials", map[string]string{"identity": "the node's role", "ecs": "the node's role", "imds": "ok", "imds_v2": "fails"},
			"IMDS version 1", "full URI, ECS: **takes the node's role, silently**"},
		{"the node's role without credentials", map[string]string{"work": "ok", "work_unavailable": "the node's role", "ecs_work": "fails", "imds_work": "unsigned"},
			"full URI", "full URI: **takes the node's role, silently** while the sidecar has no credentials; ECS: fails; IMDS: sends unsigned requests"},
		{"web identity", map[string]string{"work": "ok", "ecs_work": "ok", "imds_work": "ok", "imds_v2_work": "ok", "work_web_identity": "web-identity", "work_renewal": "fails"},
			"web identity, without the sidecar; or full URI, ECS, IMDS", "when its credentials have expired: fails"},
		{"works nowhere", map[string]string{"work": "fails", "ecs_work": "fails", "imds_work": "fails"}, "–", "full URI, ECS, IMDS: fails"},
	} {
		if use, otherwise := advice(test.verdicts); use != test.use || otherwise != test.otherwise {
			t.Errorf("%s: use %q, otherwise %q; want %q and %q", test.name, use, otherwise, test.use, test.otherwise)
		}
	}
}
