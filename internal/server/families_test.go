package server

import (
	"slices"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
	"irsa-sidecar/test/recorded"
)

// Every request that a real SDK was recorded to send counts as that SDK's, or as that of
// the runtime whose HTTP client it uses. Programs that are no SDK never count as one that
// they do not use.
func TestFamilies(t *testing.T) {
	t.Parallel()
	requests, err := recorded.ReadDir("testdata/requests")
	if err != nil {
		t.Fatal(err)
	}
	// By what a client's name contains; the first that matches counts.
	wants := []struct {
		client   string
		families []string
	}{
		{"aws-sdk-go-v2", []string{"go-v2", "go"}},
		{"aws-sdk-go ", []string{"go-v1"}},
		{"docker/distribution", []string{"go-v1"}},
		{"ecr-credential-helper", []string{"go-v1"}},
		{"hashicorp/terraform", []string{"go-v1"}},
		{"mongo-driver", []string{"go"}},
		{"restic ", []string{"go"}},
		{"minio-go", []string{"go"}},
		{"com.amazonaws:", []string{"java-v1", "java"}},
		{"hadoop-aws ", []string{"java-v1", "java"}},
		{"pyspark ", []string{"java-v1", "java"}},
		{"flink-s3-fs-", []string{"java-v1", "java"}},
		{"software.amazon.awssdk:", []string{"java-v2", "java"}},
		{"@aws-sdk/", []string{"none"}},
		{"aws-crt ", []string{"crt"}},
		{"awscrt ", []string{"crt"}},
		{"s3torchconnectorclient ", []string{"crt"}},
		{" aws-sdk ", []string{"js-v2", "none"}},
		{" boto ", []string{"python"}},
		{"google-auth ", []string{"python"}},
		{"(boto3) ", []string{"botocore", "python", "none"}},
		{"python ", []string{"botocore", "python", "none"}},
		{"ruby-aws-sdk", []string{"ruby"}},
		{"aws-config", []string{"rust", "none"}},
		{"", []string{"other", "none"}},
	}
	seen := map[string]bool{"sidecar": true} // it was not recorded
	for _, r := range requests {
		got := sdk(agentOf(t, r.Head))
		seen[got] = true
		for _, client := range r.Clients {
			for _, want := range wants {
				if !strings.Contains(client, want.client) {
					continue
				}
				if !slices.Contains(want.families, got) {
					t.Errorf("%s counts as %q, want one of %q", client, got, want.families)
				}
				break
			}
		}
	}
	for _, f := range families() {
		if !seen[f.name] {
			t.Errorf("no recorded request counts as %s", f.name)
		}
		if got := sdk(f.prefix + "1"); got != f.name {
			t.Errorf("%s1 counts as %q, want %s", f.prefix, got, f.name)
		}
	}
}

// agentOf returns the User-Agent of a request.
func agentOf(t *testing.T, head string) string {
	t.Helper()
	for line := range strings.Lines(head) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "User-Agent") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A request counts by its User-Agent, and a refused one does not.
func TestRequestsCountByFamily(t *testing.T) {
	t.Parallel()
	e := newContainer(always(sample()), nil)
	addr := serve(t, e)
	for _, request := range []string{
		"GET /v1/credentials HTTP/1.1\nHost: localhost\nUser-Agent: aws-sdk-go/1.12.48 (go1.26.8; linux; amd64)",
		"GET /v1/credentials HTTP/1.1\nHost: localhost\nUser-Agent: my-program",
		"GET /v1/credentials HTTP/1.1\nHost: localhost\nUser-Agent: aws-cli/1.0\nVia: x",
	} {
		rawhttp.Exchange(t, addr, request)
	}
	for family, want := range map[string]int{"go-v1": 1, "other": 1, "botocore": 0, "none": 0} {
		if got := count(e.metrics.clients[family]); got != want {
			t.Errorf("%d requests of %s, want %d", got, family, want)
		}
	}
}
