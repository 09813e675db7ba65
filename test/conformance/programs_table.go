package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"irsa-sidecar/test/golden"
)

// program is what the tables say about a program beside its verdicts, a line of
// programs.txt.
type program struct{ title, inside, set string }

// compatibility is the document with the table of programs.
func (s *suite) compatibility() string { return filepath.Join(s.docsDir(), "..", "compatibility.md") }

// programs reads programs.txt: the programs by package, with the configuration in
// parentheses if it has one.
func (s *suite) programs(releases []release) (map[string]program, error) {
	content, err := os.ReadFile(filepath.Join(s.dir, "programs.txt"))
	if err != nil {
		return nil, err
	}
	all := make(map[string]program)
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 4 {
			return nil, fmt.Errorf("programs.txt: want package, program, what gets its credentials and what to set: %s", line)
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		all[fields[0]] = program{fields[1], fields[2], fields[3]}
	}
	for _, r := range releases {
		if _, ok := programOf(r, all); !ok && (r.marked("program") || r.marked("fetches") && !r.marked("standin")) {
			return nil, fmt.Errorf("programs.txt has no line for %s", r)
		}
	}
	return all, nil
}

// programOf returns the line of programs.txt for a release.
func programOf(r release, all map[string]program) (program, bool) {
	_, configuration, _ := strings.Cut(r.Language, "(")
	p, ok := all[r.Package+" ("+configuration]
	if !ok {
		p, ok = all[r.Package]
	}
	return p, ok
}

// programTable returns a table with a row for the releases of a program that behave alike,
// sorted by the program.
func (s *suite) programTable(releases []release, known results) (string, error) {
	programs, err := s.programs(releases)
	if err != nil {
		return "", err
	}
	title := func(r release) string { p, _ := programOf(r, programs); return strings.ToLower(p.title) }
	releases = slices.SortedStableFunc(slices.Values(releases), func(a, b release) int { return strings.Compare(title(a), title(b)) })
	var table strings.Builder
	table.WriteString("| program | releases run | its credentials | use | set in the program | otherwise |\n|---|---|---|---|---|---|\n")
	for _, same := range groups(releases, func(r release) string {
		p, _ := programOf(r, programs)
		use, otherwise := advice(known[r.String()])
		return p.title + use + otherwise
	}) {
		p, ok := programOf(same[0], programs)
		if !ok {
			continue
		}
		use, otherwise := advice(known[same[0].String()])
		fmt.Fprintf(&table, "| [%s](compatibility/%s.md#%s) | %s | %s | %s | %s | %s |\n", p.title, same[0].language(), anchor(same[0].Package),
			strings.Join(versions(same), ", "), p.inside, use, p.set, otherwise)
	}
	return table.String(), nil
}

// versions returns the different versions of releases.
func versions(releases []release) (all []string) {
	for _, r := range releases {
		if !slices.Contains(all, r.Version) {
			all = append(all, r.Version)
		}
	}
	return all
}

// way is an endpoint as the table of programs names it, and the cases about it: that the
// program gets credentials there, and what it does when the sidecar has none. Programs that
// work and those that only get credentials have different cases.
type way struct {
	name              string
	ok                [2]string
	whileNoneIsServed [2]string
}

func ways() []way {
	return []way{
		{"full URI", [2]string{"work", "identity"}, [2]string{"work_unavailable", "no_metadata"}},
		{"ECS", [2]string{"ecs_work", "ecs"}, [2]string{"ecs_work_unavailable", "ecs_unavailable"}},
		{"IMDS", [2]string{"imds_work", "imds"}, [2]string{}},
	}
}

// silently is what the table says of the node's role.
const silently = "**takes the node's role, silently**"

// advice returns the endpoints that a program with these verdicts can use, and what it does
// at the others.
func advice(verdicts map[string]string) (use, otherwise string) {
	verdict := func(names [2]string) string {
		return cmp.Or(verdicts[names[0]], verdicts[names[1]])
	}
	var good []string
	var bad phrases
	for _, w := range ways() {
		got := verdict(w.ok)
		switch {
		case got == "ok" && w.name == "IMDS" && verdict([2]string{"imds_v2_work", "imds_v2"}) != "ok":
			good = append(good, "IMDS version 1")
		case got == "ok":
			good = append(good, w.name)
		default:
			bad.add(spell(got), w.name)
		}
		if got == "ok" && verdict(w.whileNoneIsServed) == string(ofNode) {
			bad.add(silently+" while the sidecar has no credentials", w.name)
		}
	}
	if renewed := cmp.Or(verdicts["work_renewal"], "ok"); renewed != "ok" {
		bad.add(spell(renewed), "when its credentials have expired")
	}
	use = cmp.Or(strings.Join(good, ", "), "–")
	if verdict([2]string{"work_web_identity", "web_identity"}) == string(ofWebIdentity) {
		use = "web identity, without the sidecar; or " + use
	}
	return use, cmp.Or(strings.Join(bad.all(), "; "), "–")
}

// phrases are statements about endpoints, those about several of them only once.
type phrases struct{ statements, endpoints []string }

func (p *phrases) add(statement, endpoint string) {
	i := slices.Index(p.statements, statement)
	if i < 0 {
		p.statements, p.endpoints = append(p.statements, statement), append(p.endpoints, endpoint)
		return
	}
	p.endpoints[i] += ", " + endpoint
}

func (p *phrases) all() (all []string) {
	for i, statement := range p.statements {
		all = append(all, p.endpoints[i]+": "+statement)
	}
	return all
}

// spell returns a verdict in words for a reader who has not read about verdicts.
func spell(verdict string) string {
	switch verdict {
	case string(ofNode):
		return silently
	case string(unsigned):
		return "sends unsigned requests"
	}
	return verdict
}

// settings returns what to set in the programs among releases of a package.
func settings(releases []release, programs map[string]program) string {
	var b strings.Builder
	for _, same := range groups(releases, func(r release) string { p, _ := programOf(r, programs); return p.title }) {
		if p, ok := programOf(same[0], programs); ok {
			fmt.Fprintf(&b, "%s: set %s.\n\n", p.title, p.set)
		}
	}
	return b.String()
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// anchor returns the name by which links find a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// withPrograms returns docs/compatibility.md, which is written by hand, with the current
// table of programs.
func (s *suite) withPrograms() (current, wanted string, err error) {
	releases, err := s.choose(options{})
	if err != nil {
		return "", "", err
	}
	known, err := s.readResults()
	if err != nil {
		return "", "", err
	}
	table, err := s.programTable(releases, known)
	if err != nil {
		return "", "", err
	}
	content, err := os.ReadFile(s.compatibility())
	if err != nil {
		return "", "", err
	}
	wanted, err = golden.Replace(string(content), "programs", table)
	return string(content), wanted, err
}
