package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

// What test/attacks recorded of every browser, and of every relay that can be recognised, is
// refused. A relay that adds nothing is answered like an SDK.
func TestRecordedAttacks(t *testing.T) {
	t.Parallel()
	const metadata = "/latest/meta-data/iam/security-credentials/app"
	container := serve(t, newContainer(always(sample()), nil))
	instance := serve(t, newInstance(Instance{Role: testRole, V1: true}, always(sample())))
	for _, tt := range []struct {
		name    string
		atLeast int // a file that is empty would prove nothing
		status  int
		body    string
	}{
		{"browsers/chromium.http", 20, 403, "BrowserRequest"},
		{"browsers/firefox-esr.http", 20, 403, "BrowserRequest"},
		{"browsers/wkhtmltopdf.http", 8, 403, "BrowserRequest"},
		{"relays/refused.http", 8, 403, "ForwardedRequest"},
		{"relays/granted.http", 8, 200, "ASIAEXAMPLE"},
	} {
		heads := recordedHeads(t, tt.name)
		if len(heads) < tt.atLeast {
			t.Errorf("%s has %d requests, want %d or more", tt.name, len(heads), tt.atLeast)
		}
		for name, head := range heads {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for path, addr := range map[string]string{testPath: container, metadata: instance} {
					got := rawhttp.Exchange(t, addr, readdressed(head, path))
					if got.Status != tt.status || !strings.Contains(got.Body, tt.body) {
						t.Errorf("%s: got %d %s, want %d %s", path, got.Status, got.Body, tt.status, tt.body)
					}
				}
			})
		}
	}
}

// recordedHeads returns the requests in a file of testdata, without bodies, by the comment
// before each.
func recordedHeads(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	heads := map[string]string{}
	for request := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		comment, head, found := strings.Cut(strings.TrimPrefix(request, "# "), "\n")
		if !found {
			t.Fatalf("%s: no comment before %q", name, request)
		}
		heads[fmt.Sprint(len(heads), " ", comment)] = head
	}
	return heads
}

// readdressed returns a recorded request as it is to an endpoint of a test, whose address is
// another.
func readdressed(head, path string) string {
	line, fields, _ := strings.Cut(head, "\n")
	words := strings.Fields(line)
	lines := []string{words[0] + " " + path + " HTTP/1.1", "Host: localhost"}
	for field := range strings.SplitSeq(fields, "\n") {
		switch name, _, _ := strings.Cut(field, ":"); strings.ToLower(name) {
		case "host":
		case "content-length":
			lines = append(lines, "Content-Length: 0")
		default:
			lines = append(lines, field)
		}
	}
	return strings.Join(lines, "\n")
}
