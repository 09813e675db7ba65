// Package golden compares generated parts of documents with the current output of their
// generators.
package golden

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Section checks that the part of the document file between the lines
// "<!-- name: generated -->" and "<!-- end of name -->" is want, except for empty lines
// around it. With UPDATE_DOCS=1 in the environment it writes want there instead.
func Section(t *testing.T, file, name, want string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(raw)
	want, err = Replace(got, name, want)
	if err != nil {
		t.Fatalf("%s %v", file, err)
	}
	if got == want {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "1" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	line, gotLine, wantLine := difference(got, want)
	t.Errorf("%s, section %q, line %d is\n  %s\nbut the code generates\n  %s\nFix the code, or update the document with UPDATE_DOCS=1 go test ./...", file, name, line, gotLine, wantLine)
}

// Replace returns a document with want in the section that Section describes.
func Replace(document, name, want string) (string, error) {
	begin, end := "<!-- "+name+": generated -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(document, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("has no lines %q and %q", begin, end)
	}
	return before + begin + "\n" + strings.Trim(want, "\n") + "\n\n" + end + after, nil
}

// difference returns the first line in which two texts differ.
func difference(got, want string) (line int, gotLine, wantLine string) {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for line < len(gotLines) && line < len(wantLines) && gotLines[line] == wantLines[line] {
		line++
	}
	if line < len(gotLines) {
		gotLine = gotLines[line]
	}
	if line < len(wantLines) {
		wantLine = wantLines[line]
	}
	return line, gotLine, wantLine
}
