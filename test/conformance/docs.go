package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (s *suite) docsDir() string {
	return filepath.Join(s.dir, "..", "..", "docs", "compatibility")
}

// checkDocs returns an error unless docs/compatibility and the table of programs are up to date with
// results.json, releases.txt, templates and findings.
func (s *suite) checkDocs() error {
	pages, err := s.docs()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.docsDir(), "*"))
	if err != nil {
		return err
	}
	var stale []string
	for _, file := range files {
		if _, ok := pages[filepath.Base(file)]; !ok {
			stale = append(stale, filepath.Base(file))
		}
	}
	for name, want := range pages {
		if got, err := os.ReadFile(filepath.Join(s.docsDir(), name)); err != nil || string(got) != want {
			stale = append(stale, name)
		}
	}
	current, wanted, err := s.withPrograms()
	if err != nil {
		return err
	}
	if current != wanted {
		stale = append(stale, "../compatibility.md")
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale in docs/compatibility: %s: run test/conformance/run --docs --update", strings.Join(stale, ", "))
	}
	return nil
}

// writeDocs replaces docs/compatibility, and the table of programs.
func (s *suite) writeDocs() error {
	pages, err := s.docs()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(s.docsDir()), os.MkdirAll(s.docsDir(), 0o755)); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(s.docsDir(), name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, wanted, err := s.withPrograms()
	if err != nil {
		return err
	}
	return os.WriteFile(s.compatibility(), []byte(wanted), 0o644)
}

// docs returns the files of docs/compatibility: one page per language, and README.md,
// which explains the cases and the verdicts.
func (s *suite) docs() (map[string]string, error) {
	releases, err := s.choose(options{})
	if err != nil {
		return nil, err
	}
	known, err := s.readResults()
	if err != nil {
		return nil, err
	}
	pages, index, err := s.languagePages(releases, known)
	if err != nil {
		return nil, err
	}
	pages["README.md"], err = s.fill("README.md",
		"releases", index, "loopback", caseList(loopbackCases()),
		"pod-identity", caseList(podIdentityCases()), "link-local", caseList(linkLocalCases()))
	if err != nil {
		return nil, err
	}
	table, err := s.podIdentityTable(releases, known)
	if err != nil {
		return nil, err
	}
	pages["pod-identity.md"], err = s.fill("pod-identity.md", "results", table)
	return pages, err
}

// languagePages returns a page per language, and the table of releases with links to them.
func (s *suite) languagePages(releases []release, known results) (pages map[string]string, index string, err error) {
	programs, err := s.programs(releases)
	if err != nil {
		return nil, "", err
	}
	pages = make(map[string]string)
	var table strings.Builder
	table.WriteString("| language | package | releases |\n|---|---|---|\n")
	for _, sameLanguage := range groups(releases, release.language) {
		language := sameLanguage[0].language()
		f, err := s.findings(language)
		if err != nil {
			return nil, "", err
		}
		var tables []string
		for _, samePackage := range groups(sameLanguage, func(r release) string { return r.Package }) {
			verdicts, err := resultTable(samePackage, known, programs)
			if err != nil {
				return nil, "", err
			}
			tables = append(tables, verdicts)
			fmt.Fprintf(&table, "| [%s](%s.md) | %s | %s |\n", f.title, language, samePackage[0].Package, strings.Join(titles(samePackage), ", "))
		}
		pages[language+".md"], err = s.fill("language.md",
			"title", f.title, "results", strings.Join(tables, "\n"), "findings", f.text)
		if err != nil {
			return nil, "", err
		}
	}
	return pages, table.String(), nil
}

// podIdentityTable returns the verdicts of the cases of EKS Pod Identity, with a row for the
// releases of a package that have the same.
func (s *suite) podIdentityTable(releases []release, known results) (string, error) {
	var table strings.Builder
	table.WriteString("| language | package | releases | with the agent itself | through the sidecar |\n|---|---|---|---|---|\n")
	verdicts := func(r release) string { return known[r.String()]["agent"] + " | " + known[r.String()]["pod_identity"] }
	releases = slices.DeleteFunc(slices.Clone(releases), func(r release) bool { return known[r.String()]["agent"] == "" })
	for _, samePackage := range groups(releases, func(r release) string { return r.Package }) {
		language := samePackage[0].language()
		f, err := s.findings(language)
		if err != nil {
			return "", err
		}
		for _, same := range groups(samePackage, verdicts) {
			fmt.Fprintf(&table, "| [%s](%s.md) | %s | %s | %s |\n", f.title, language, same[0].Package, strings.Join(titles(same), ", "), verdicts(same[0]))
		}
	}
	return table.String(), nil
}

// groups splits releases into groups with the same key, in the order of the first
// release of each.
func groups(releases []release, key func(release) string) [][]release {
	var all [][]release
	for _, r := range releases {
		i := slices.IndexFunc(all, func(g []release) bool { return key(g[0]) == key(r) })
		if i < 0 {
			i, all = len(all), append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

// findings is what is known about a language that the verdicts do not show.
type findings struct{ title, text string }

// findings reads a file whose first line is the title of the language's page.
func (s *suite) findings(language string) (findings, error) {
	content, err := os.ReadFile(filepath.Join(s.dir, "findings", language+".md"))
	if err != nil {
		return findings{}, err
	}
	heading, text, _ := strings.Cut(string(content), "\n\n")
	title, ok := strings.CutPrefix(heading, "# ")
	if !ok {
		return findings{}, fmt.Errorf("findings/%s.md: want a title in the first line", language)
	}
	return findings{title, text}, nil
}

// fill returns a template with its placeholders replaced: pairs are their names and
// texts.
func (s *suite) fill(template string, pairs ...string) (string, error) {
	content, err := os.ReadFile(filepath.Join(s.dir, "templates", template))
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pairs); i += 2 {
		placeholder := []byte("{{" + pairs[i] + "}}")
		content = bytes.Replace(content, placeholder, []byte(strings.TrimSpace(pairs[i+1])), 1)
	}
	return string(content), nil
}

func caseList(cases []testCase) string {
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "- **%s**: %s\n", c.name, c.title)
	}
	return b.String()
}

// resultTable returns the recorded verdicts of the releases of a package, a row per
// case. Cases that apply to none of them are below the table, with the reason.
func resultTable(releases []release, known results, programs map[string]program) (string, error) {
	var table strings.Builder
	fmt.Fprintf(&table, "### %s\n\n%s| case | %s |\n", releases[0].Package, settings(releases, programs), strings.Join(titles(releases), " | "))
	fmt.Fprintf(&table, "|---|%s\n", strings.Repeat("---|", len(releases)))
	skipped := make(map[string][]string) // cases by reason
	for _, c := range cases() {
		var verdicts []string
		for _, r := range releases {
			verdict, ok := known[r.String()][c.name]
			if reason := c.reason(r); reason != "" {
				verdict = "n/a: " + reason
			} else if !ok {
				return "", fmt.Errorf("results.json has no verdict for %s, %s: run test/conformance/run --update --client %q", r, c.name, r)
			}
			verdicts = append(verdicts, verdict)
		}
		reason, isSkipped := strings.CutPrefix(verdicts[0], "n/a: ")
		if isSkipped && len(slices.Compact(slices.Clone(verdicts))) == 1 {
			skipped[reason] = append(skipped[reason], c.name)
			continue
		}
		for i := range verdicts {
			verdicts[i], _, _ = strings.Cut(verdicts[i], ": ")
		}
		fmt.Fprintf(&table, "| %s | %s |\n", c.name, strings.Join(verdicts, " | "))
	}
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		fmt.Fprintf(&table, "\nNot applicable (%s): %s.\n", reason, strings.Join(skipped[reason], ", "))
	}
	return table.String(), nil
}

// titles returns the versions of releases, the last without web identity in bold.
func titles(releases []release) (all []string) {
	for _, r := range releases {
		title := r.Version
		if r.marked("legacy") {
			title = "**" + title + "**"
		}
		if _, runtime, ok := strings.Cut(r.Language, "("); ok {
			title += " (" + runtime
		}
		all = append(all, title)
	}
	return all
}
