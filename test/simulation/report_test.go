package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReport checks that two runs produce the same bytes, and pictures that are
// small and well-formed.
func TestReport(t *testing.T) {
	first, again := newReport(simulate(0, 100, podsPerCall)), newReport(simulate(0, 100, podsPerCall))
	if first.tables != again.tables {
		t.Errorf("two runs made different tables:\n%s\n%s", first.tables, again.tables)
	}
	for i, p := range first.pictures {
		if p != again.pictures[i] {
			t.Errorf("two runs made different pictures %s", p.name)
		}
		if len(p.text) > 40_000 {
			t.Errorf("%s has %d bytes, want 40,000 at most", p.name, len(p.text))
		}
		decoder := xml.NewDecoder(strings.NewReader(p.text))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
		}
	}
}

func TestDocs(t *testing.T) {
	r := report{"| new |\n", []file{{"p.svg", "<svg/>\n"}}}
	fresh := "head\n" + begin + "\n\n| new |\n\n" + end + "\ntail\n"
	tests := []struct {
		name    string
		page    string // before write; "": the file does not exist
		want    string // after write
		wantErr string // of write
	}{
		{"no page", "", "", "scale.md: no such file"},
		{"no markers", "head\n", "head\n", "has no lines"},
		{"no end marker", "head\n" + begin + "\n", "head\n" + begin + "\n", "has no lines"},
		{"empty", "head\n" + begin + "\n" + end + "\ntail\n", fresh, ""},
		{"stale", "head\n" + begin + "\n| old |\n" + end + "\ntail\n", fresh, ""},
		{"fresh", fresh, fresh, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, page)
			if test.page != "" {
				writeFile(t, path, test.page)
			}
			if err := r.write(folder); !hasError(err, test.wantErr) {
				t.Fatalf("write: %v, want %q", err, test.wantErr)
			}
			if got, _ := os.ReadFile(path); string(got) != test.want {
				t.Errorf("the page is %q, want %q", got, test.want)
			}
			if err := r.check(folder); !hasError(err, test.wantErr) {
				t.Errorf("check after write: %v, want %q", err, test.wantErr)
			}
		})
	}
}

// TestStaleDocs checks that a change of either file is detected.
func TestStaleDocs(t *testing.T) {
	r := report{"| new |\n", []file{{"p.svg", "<svg/>\n"}}}
	changes := []struct {
		name   string
		change func(t *testing.T, folder string)
	}{
		{"changed figure", func(t *testing.T, folder string) {
			writeFile(t, filepath.Join(folder, page), begin+"\n\n| old |\n\n"+end+"\n")
		}},
		{"changed picture", func(t *testing.T, folder string) { writeFile(t, filepath.Join(folder, "p.svg"), "<svg />\n") }},
		{"missing picture", func(t *testing.T, folder string) {
			if err := os.Remove(filepath.Join(folder, "p.svg")); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			writeFile(t, filepath.Join(folder, page), begin+"\n"+end+"\n")
			if err := r.write(folder); err != nil {
				t.Fatal(err)
			}
			c.change(t, folder)
			if err := r.check(folder); !hasError(err, "stale: run go run ./test/simulation") {
				t.Errorf("check: %v, want an error with the command to run", err)
			}
		})
	}
}

// hasError reports whether err contains text, or is nil if text is empty.
func hasError(err error, text string) bool {
	if err == nil || text == "" {
		return err == nil && text == ""
	}
	return strings.Contains(err.Error(), text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCells(t *testing.T) {
	tests := []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(1234567), "1,234,567"},
		{rate(99.94), "99.9"},
		{rate(1458.2), "1,458"},
		{share(0, 1000), "0 %"},
		{share(146, 1000), "15 %"},
		{share(1, 1000), "< 1 %"},
		{share(999, 1000), "> 99 %"},
		{share(1000, 1000), "100 %"},
		{short(100 * time.Millisecond), "100ms"},
		{short(time.Minute), "1m"},
		{short(12 * time.Hour), "12h"},
		{short(59*time.Second + 600*time.Millisecond), "1m"},
		{short(3*time.Minute + 26*time.Second), "3m26s"},
		{short(growthTime), "9h36m"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
