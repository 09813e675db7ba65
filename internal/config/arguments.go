package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The commands.
const (
	Serve     = ""
	Ready     = "ready"
	Refresh   = "refresh"
	Check     = "check"
	LinkLocal = "link-local"
)

// Arguments is what a command line says.
type Arguments struct {
	Command       string // Serve, Ready, Refresh, Check or LinkLocal
	Help, Version bool
	Offline, JSON bool // of Check

	flags    map[string]string // those that are given
	operands []string          // of LinkLocal
	problems []string
}

// ParseArguments reads a command line in which flags, with one dash or two, may be on
// both sides of the command. The flag package would stop at the first error; here Load
// reports all of them. No error repeats a word, which may be a secret that was meant for
// a flag that does not exist, whatever it looks like: errors count instead.
func ParseArguments(words []string) Arguments {
	a := Arguments{flags: make(map[string]string)}
	for i := 0; i < len(words); i++ {
		if strings.HasPrefix(words[i], "-") {
			i += a.parseFlag(i+1, words[i], words[i+1:])
		} else {
			a.parseWord(i+1, words[i])
		}
	}
	if (a.Offline || a.JSON) && a.Command != Check {
		a.fail("--offline and --output are for the command %s", Check)
	}
	return a
}

// parseFlag reads argument n, a flag, and, from the words that follow, its value; it
// returns how many of those it used.
func (a *Arguments) parseFlag(n int, word string, following []string) (used int) {
	name, value, hasValue := cutFlag(word)
	switch {
	case name == "help" || name == "h":
		a.Help = true
		return 0
	case name == "version":
		a.Version = true
		return 0
	case name == "offline":
		a.Offline = !hasValue || value == "true"
		return 0
	case !hasFlag(name) && name != "output":
		a.fail("argument %d: unknown flag: see sidecar --help (settings that may be secrets have no flag, only a variable)", n)
		if hasValue || len(following) == 0 {
			return 0
		}
		// What follows is most likely its value, even if it begins with a dash.
		if isKnownFlag(following[0]) {
			return 0
		}
		return 1
	}
	if !hasValue && len(following) > 0 {
		value, hasValue, used = following[0], true, 1
	}
	if !hasValue {
		a.fail("--%s: needs a value", name)
	}
	if name == "output" {
		a.parseOutput(value)
		return used
	}
	a.flags[name] = value
	return used
}

// parseOutput reads the form of what check prints.
func (a *Arguments) parseOutput(value string) {
	switch value {
	case "json":
		a.JSON = true
	case "text":
	default:
		a.fail("--output: is neither text nor json")
	}
}

// Beside returns the arguments of a command that is to find the settings of another process:
// flags that it was not given are those of that process. It names them.
func (a Arguments) Beside(other Arguments) (_ Arguments, taken []string) {
	flags := maps.Clone(other.flags)
	for name := range a.flags {
		delete(flags, name)
	}
	taken = slices.Sorted(maps.Keys(flags))
	maps.Copy(flags, a.flags)
	a.flags = flags
	return a, taken
}

// Valid reports whether the command line is one.
func (a Arguments) Valid() bool { return len(a.problems) == 0 }

// isKnownFlag reports whether a word is one of the flags that there are.
func isKnownFlag(word string) bool {
	name, _, _ := cutFlag(word)
	return strings.HasPrefix(word, "-") && (slices.Contains([]string{"help", "h", "version", "offline", "output"}, name) || hasFlag(name))
}

// cutFlag returns the name of a flag, and its value if there is an equals sign.
func cutFlag(word string) (name, value string, hasValue bool) {
	return strings.Cut(strings.TrimLeft(word, "-"), "=")
}

// parseWord reads argument n, which is not a flag.
func (a *Arguments) parseWord(n int, word string) {
	switch {
	case a.Command == LinkLocal:
		a.operands = append(a.operands, word)
		return
	case !slices.Contains([]string{Ready, Refresh, Check, LinkLocal}, word):
		a.fail("argument %d: unknown command: use %s, %s, %s or %s, or no command to serve credentials", n, Ready, Check, Refresh, LinkLocal)
		return
	case a.Command != Serve:
		a.fail("argument %d: more than one command", n)
		return
	}
	a.Command = word
}

func (a *Arguments) fail(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}
