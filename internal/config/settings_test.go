package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"irsa-sidecar/test/golden"
)

func TestTable(t *testing.T) {
	names := map[string]bool{}
	for i, s := range settings() {
		if int(s.key) != i {
			t.Errorf("%s has key %d and is row %d", s.name(), s.key, i)
		}
		if s.secret && s.flag != "" {
			t.Errorf("--%s may be a secret, and has a flag", s.flag)
		}
		if s.variables == "" || s.help == "" || (s.standard == "") == (s.note == "") || s.usedBy == 0 || (s.flag == "") != (s.placeholder == "") {
			t.Errorf("%s: the row is incomplete: %+v", s.name(), s)
		}
		for _, name := range append([]string{s.flag}, strings.Fields(s.variables)...) {
			if name != "" && names[name] {
				t.Errorf("%s is in two rows", name)
			}
			names[name] = true
		}
	}
}

// Each command reads the settings that the table says it uses, with one source or the
// other, and no other variable.
func TestCommandsReadWhatTheTableSays(t *testing.T) {
	for command, by := range map[string]commands{Serve: byServe, Ready: byReady, Check: byServe, LinkLocal: byLinkLocal} {
		read, want := map[string]bool{}, map[string]bool{}
		for _, source := range []string{"", WebIdentity, PodIdentity} {
			Load(Arguments{Command: command}, func(name string) string {
				read[name] = true
				if name == "SIDECAR_SOURCE" {
					return source
				}
				return ""
			}, nil)
		}
		for _, s := range settings() {
			if s.usedBy&by == 0 || s.key == keyNoProxy { // net/http reads it
				continue
			}
			for variable := range strings.FieldsSeq(s.variables) {
				want[variable] = true
			}
		}
		for name := range want {
			if !read[name] {
				t.Errorf("command %q does not read %s", command, name)
			}
		}
		for name := range read {
			if !want[name] {
				t.Errorf("command %q reads %s, which the table does not say", command, name)
			}
		}
	}
}

// Limits that a rule does not take from the table are the ones in the table.
func TestRulesKeepTheLimits(t *testing.T) {
	if most := settings()[keyAuthorizationToken].most(); most != maxTokenLength {
		t.Errorf("the table says at most %d bytes, and the rule %d", most, maxTokenLength)
	}
	levels := strings.FieldsFunc(strings.ReplaceAll(settings()[keyLogLevel].limit, " or ", ","), func(c rune) bool { return c == ',' || c == ' ' })
	for _, level := range levels {
		env := webhook()
		env["SIDECAR_LOG_LEVEL"] = level
		if cfg, err := load(nil, env); err != nil || strings.ToLower(cfg.LogLevel.String()) != level {
			t.Errorf("log level %s: got %v, %v", level, cfg.LogLevel, err)
		}
	}
	if len(levels) != 4 {
		t.Errorf("the table has the log levels %q", levels)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	if _, err := load(nil, webhook()); err != nil {
		t.Error(err)
	}
	required := 0
	for _, s := range settings() {
		if !strings.HasPrefix(s.note, "required") || s.key == keyRegion {
			continue
		}
		required++
		env := environmentFor(s)
		for variable := range strings.FieldsSeq(s.variables) {
			delete(env, variable)
		}
		if _, err := load(nil, env); err == nil || !strings.Contains(err.Error(), s.name()+": is required") {
			t.Errorf("without %s: %v", s.name(), err)
		}
	}
	if required != 4 {
		t.Errorf("%d settings are required", required)
	}
}

// environmentFor returns an environment in which a setting has an effect.
func environmentFor(s setting) map[string]string {
	if s.key == keyAgentURL || s.key == keyAgentTokenFile {
		return association()
	}
	return webhook()
}

// No error repeats the value of a setting that may be a secret, or a secret that was set
// in place of another value.
func TestSecretsAreNotRepeated(t *testing.T) {
	for _, s := range settings() {
		for variable := range strings.FieldsSeq(s.variables) {
			env := environmentFor(s)
			env[variable] = "hunter2\x00://"
			if _, err := load(nil, env); s.secret && err == nil || s.secret && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", variable, err)
			}
			for other := range strings.FieldsSeq(s.variables) {
				delete(env, other)
			}
			env[variable] = "hunter2-of-16-bytes\x00://"
			if _, err := load(nil, env); err == nil && s.key != keyNoProxy || err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", variable, err)
			}
		}
	}
}

func TestDocument(t *testing.T) {
	golden.Section(t, "../../docs/configuration.md", "settings", settingsDocument())
	golden.Section(t, "../../docs/configuration.md", "usage", "```text\n"+Usage()+"```")
}

// settingsDocument returns the table as Markdown.
func settingsDocument() string {
	var b strings.Builder
	for _, section := range sections() {
		fmt.Fprintf(&b, "### %s\n\n| flag | environment variable | default | limit | used by | meaning |\n|---|---|---|---|---|---|\n", section.title)
		for _, s := range section.settings {
			flag := "–"
			if s.flag != "" {
				flag = "`--" + s.flag + "`"
			}
			var users []string
			for i, name := range []string{"serve", Ready, LinkLocal} {
				if s.usedBy&(1<<i) != 0 {
					users = append(users, name)
				}
			}
			without := s.note
			if s.standard != "" {
				without = "`" + s.standard + "`"
			}
			limit := s.limit
			if limit == "" {
				limit = "–"
			}
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", flag, strings.ReplaceAll(s.variables, " ", "`, `"), without, limit, strings.Join(users, ", "), s.help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Manifests and documents name only settings that are in the table.
func TestTreeNamesOnlyKnownSettings(t *testing.T) {
	variables := map[string]bool{}
	for _, s := range settings() {
		for variable := range strings.FieldsSeq(s.variables) {
			variables[variable] = true
		}
	}
	variable := regexp.MustCompile(`\bSIDECAR_[A-Z0-9_]+`)
	comment := regexp.MustCompile(`(?m)^ *#.*$`)
	flag := regexp.MustCompile(`[("' ]--([a-z][a-z0-9-]+)`)
	found := 0
	for file, text := range tree(t) {
		for _, name := range variable.FindAllString(text, -1) {
			found++
			if !variables[name] {
				t.Errorf("%s names %s, which is not a setting", file, name)
			}
		}
		if filepath.Ext(file) != ".yaml" || strings.Contains(file, "/deploy/injector/") {
			continue
		}
		// Every flag in another manifest is the sidecar's, comments aside.
		for _, m := range flag.FindAllStringSubmatch(comment.ReplaceAllString(text, ""), -1) {
			if !hasFlag(m[1]) {
				t.Errorf("%s names --%s, which is not a flag", file, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d variables in the tree", found)
	}
}

// Manifests and documents contain the defaults that they rely on.
func TestManifestsHaveTheDefaults(t *testing.T) {
	table := settings()
	uri := "http://" + table[keyListen].standard + table[keyPath].standard
	_, adminPort, _ := strings.Cut(table[keyAdminListen].standard, ":")
	_, port, _ := strings.Cut(table[keyListen].standard, ":")
	for file, wants := range map[string][]string{
		"../../deploy/component/sidecar/pod.yaml": {uri, "containerPort: " + adminPort},
		"../../deploy/inject/policy.yaml":         {uri, "containerPort: " + adminPort},
		"../../deploy/guard/pod.yaml":             {port, adminPort},
		"../../README.md":                         {uri},
		"../../docs/install.md":                   {uri, "containerPort: " + adminPort},
		"../../docs/endpoints.md":                 {uri},
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s lacks %s", file, want)
			}
		}
	}
}

// tree returns the manifests and documents.
func tree(t *testing.T) map[string]string {
	files := map[string]string{}
	for _, root := range []string{"../../deploy", "../../docs", "../../README.md", "../../SECURITY.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md", "../../test/README.md"} {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !slices.Contains([]string{".md", ".yaml"}, filepath.Ext(name)) {
				return err
			}
			raw, err := os.ReadFile(name)
			files[name] = string(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
