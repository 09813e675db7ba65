package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// release is one release of an SDK, a line of releases.txt.
type release struct {
	Language string
	Package  string
	Version  string
	Driver   string        // the directory in clients with its driver
	Window   time.Duration // how long before expiry the SDK refreshes credentials; 0: it caches none
	Marks    []string      // see releases.txt
}

func (r release) String() string { return r.Language + " " + r.Package + " " + r.Version }

// language returns the language without the version of its runtime.
func (r release) language() string {
	language, _, _ := strings.Cut(r.Language, "(")
	return language
}

func (r release) marked(mark string) bool { return slices.Contains(r.Marks, mark) }

// readReleases reads a file of releases.
func readReleases(name string) ([]release, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var releases []release
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 5 {
			return nil, fmt.Errorf("%s:%d: want language, package, version, driver, window and marks", name, n)
		}
		window, err := time.ParseDuration(fields[4])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		releases = append(releases, release{fields[0], fields[1], fields[2], fields[3], window, fields[5:]})
	}
	return releases, lines.Err()
}
