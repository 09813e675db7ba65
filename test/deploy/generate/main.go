// Generate writes the pod's shape into the files that repeat it: the policy in
// deploy/inject, the pods in deploy/preflight and the documents. The source is the Component's PodTemplates,
// deploy/component/sidecar/pod.yaml and endpoints.yaml.
//
//	go -C test/deploy run ./generate [-check]
//
// It replaces the lines between two markers, "NAME: generated" and "end of NAME". In the
// policy the markers are comments in CEL (// NAME: generated), in a pod of YAML (# NAME:
// generated), in a document of Markdown (<!-- NAME: generated -->). With -check it changes no file, and fails if one
// differs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "change no file; fail if one differs from what would be written")
	root := flag.String("root", filepath.Join("..", ".."), "the repository")
	flag.Parse()
	if err := generate(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// sections has the lines between each pair of markers, by name, without indentation.
type sections map[string][]string

func generate(root string, check bool) error {
	pod, err := readShape(root)
	if err != nil {
		return err
	}
	literals, err := pod.literals()
	if err != nil {
		return err
	}
	examples, err := pod.examples()
	if err != nil {
		return err
	}
	preflight, err := pod.preflight()
	if err != nil {
		return err
	}
	policy := []string{filepath.Join(root, "deploy", "inject", "policy.yaml")}
	documents, err := glob(root, "*.md", "docs/*.md", "deploy/*.md")
	if err != nil {
		return err
	}
	pods, err := glob(root, "deploy/preflight/*.yaml")
	if err != nil {
		return err
	}
	return errors.Join(
		replace(policy, "//", literals, check),
		replace(documents, "<!--", examples, check),
		replace(pods, "#", preflight, check),
	)
}

func glob(root string, patterns ...string) (files []string, err error) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

// replace writes sections between their markers, which are comments that begin with
// comment. Each section must be in one of the files at least.
func replace(files []string, comment string, sections sections, check bool) error {
	missing := maps.Clone(sections)
	var errs []error
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		old := string(b)
		text, found, err := replaceIn(old, comment, sections)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		for _, name := range found {
			delete(missing, name)
		}
		switch {
		case text == old:
		case check:
			errs = append(errs, fmt.Errorf("%s:%d differs from deploy/component/sidecar: run go -C test/deploy run ./generate", file, firstDifference(old, text)))
		default:
			errs = append(errs, os.WriteFile(file, []byte(text), 0o644))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, fmt.Errorf("no file has the marker %q", comment+" "+name+": generated"))
	}
	return errors.Join(errs...)
}

// replaceIn returns text with the sections between their markers, and the names of those
// that it found.
func replaceIn(text, comment string, sections sections) (replaced string, found []string, err error) {
	begin := regexp.MustCompile(`^( *)` + regexp.QuoteMeta(comment) + ` (\S+): generated\b`)
	var out strings.Builder
	end := ""
	for line := range strings.Lines(text) {
		if end != "" {
			if line := strings.TrimSpace(line); line != end && !strings.HasPrefix(line, end+" ") {
				continue // an old line
			}
			end = ""
		}
		out.WriteString(line)
		match := begin.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		indent, name := match[1], match[2]
		lines, ok := sections[name]
		if !ok {
			continue // another generator's
		}
		for _, line := range lines {
			out.WriteString(strings.TrimRight(indent+line, " ") + "\n")
		}
		found = append(found, name)
		end = comment + " end of " + name
	}
	if end != "" {
		return "", nil, fmt.Errorf("no line %q", end)
	}
	return out.String(), found, nil
}

// firstDifference returns the number of the first line that differs.
func firstDifference(a, b string) int {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y))
}
