package main

import (
	"strings"
	"testing"

	"irsa-sidecar/test/recorded"
)

// A tap records the heads of all requests on a connection, and nothing of their bodies,
// of an unfinished one, or of secrets and machines.
func TestTapRecords(t *testing.T) {
	t.Parallel()
	sent := strings.ReplaceAll(`PUT /latest/api/token HTTP/1.1
Host: 169.254.169.254
content-length: 5

body!GET /a HTTP/1.1
x-aws-ec2-metadata-token: a secret
Amz-Sdk-Invocation-Id: 12345678
x-b: 1
X-B: 2

GET /latest/meta-data/iam/security-credentials/Unauthorized:%20no HTTP/1.1

GET /unfinished HTTP/1.1
Host: `, "\n", "\r\n")
	var tap tap
	tap.record("imds", sent)
	want := []string{
		"PUT /latest/api/token HTTP/1.1\nHost: 169.254.169.254\ncontent-length: 5",
		"GET /a HTTP/1.1\nx-aws-ec2-metadata-token: " + recorded.Token + "\nAmz-Sdk-Invocation-Id: ID\nx-b: 1\nX-B: 2",
	}
	got := tap.take()
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i, r := range got {
		if r.Endpoint != "imds" || r.Head != want[i] {
			t.Errorf("got %q, want %q", r, want[i])
		}
	}
}
