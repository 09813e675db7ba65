// Package doclinks checks that the links in the documents are valid, that a link to a test
// leads to that test, and that README leads to every document.
package doclinks

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var (
	link     = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	notWord  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func TestLinks(t *testing.T) {
	documents := documents(t)
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
	if links < 200 {
		t.Errorf("only %d links in %q", links, documents)
	}
}

// Every document can be reached from README by links.
func TestEveryDocumentIsLinked(t *testing.T) {
	linked := map[string]bool{}
	var follow func(document string)
	follow = func(document string) {
		if linked[document] {
			return
		}
		linked[document] = true
		for _, l := range link.FindAllStringSubmatch(read(t, document), -1) {
			path, _, _ := strings.Cut(l[2], "#")
			if filepath.Ext(path) == ".md" && !strings.Contains(path, "://") {
				follow(filepath.Join(filepath.Dir(document), path))
			}
		}
	}
	follow(root + "/README.md")
	for _, document := range documents(t) {
		if !linked[document] {
			t.Errorf("no link leads from README.md to %s", document)
		}
	}
}

// The first screen of README has what a reader decides by.
func TestReadme(t *testing.T) {
	readme := read(t, root+"/README.md")
	if lines := strings.Count(readme, "\n"); lines > 160 {
		t.Errorf("README.md has %d lines, the most is 160", lines)
	}
	screen := string([]rune(readme)[:3000])
	for _, want := range []string{"```mermaid", "## Do I need it?", "## Quick start", "kubectl apply -k", "## Verify", "go run ./test/demo", "go test ./..."} {
		if !strings.Contains(screen, want) {
			t.Errorf("the first 3,000 characters of README.md lack %s", want)
		}
	}
}

// documents returns the documents of the project. Those of test/conformance are
// templates for docs.
func documents(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".git") || path == filepath.FromSlash(root+"/test/conformance")):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
