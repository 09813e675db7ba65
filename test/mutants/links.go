package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// tests maps a package, a directory, to names of tests.
type tests map[string][]string

// packages returns the packages in the order to run them: quick tests first.
func (t tests) packages() []string {
	packages := slices.Sorted(maps.Keys(t))
	slices.Reverse(packages)
	return packages
}

// A promise is a section of the document, with links to its tests in a list.
var (
	section  = regexp.MustCompile(`^## (P\d) `)
	testLink = regexp.MustCompile(`^- \[(Test\w+)\]\(\.\./([a-z/]+)/\w+_test\.go\)`)
)

// parseLinks returns the tests of each promise.
func parseLinks(text string) map[string]tests {
	links := map[string]tests{}
	var promise string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "## ") {
			promise = ""
			if m := section.FindStringSubmatch(line); m != nil {
				promise = m[1]
				links[promise] = tests{}
			}
		}
		if m := testLink.FindStringSubmatch(line); m != nil && promise != "" {
			links[promise][m[2]] = append(links[promise][m[2]], m[1])
		}
	}
	return links
}
