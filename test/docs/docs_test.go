// Package docs checks that the links in the documents are valid, and that a link to a
// test leads to that test.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	notWord  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func TestLinks(t *testing.T) {
	documents, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"../../docs/*.md", "../../deploy/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, more...)
	}
	links := 0
	for _, document := range documents {
		for _, l := range link.FindAllStringSubmatch(read(t, document), -1) {
			if strings.Contains(l[2], "://") {
				continue
			}
			links++
			checkLink(t, document, l[1], l[2])
		}
	}
	if links < 50 {
		t.Errorf("only %d links in %q", links, documents)
	}
}

func checkLink(t *testing.T, document, text, target string) {
	path, anchor, _ := strings.Cut(target, "#")
	file := document
	if path != "" {
		file = filepath.Join(filepath.Dir(document), path)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s links to %s: %v", document, target, err)
		return
	}
	if testName.MatchString(text) && !strings.Contains(read(t, file), "func "+text+"(") {
		t.Errorf("%s links to %s, which has no %s", document, target, text)
	}
	if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
		t.Errorf("%s links to %s, which has no such heading", document, target)
	}
}

// anchors returns the anchors that GitHub generates for a document's headings.
func anchors(text string) (all []string) {
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			heading = notWord.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
