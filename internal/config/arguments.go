package config

import (
	"fmt"
	"strings"
)

// The commands.
const (
	Serve     = ""
	Ready     = "ready"
	LinkLocal = "link-local"
)

// Arguments is what a command line says.
type Arguments struct {
	Command       string // Serve, Ready or LinkLocal
	Help, Version bool

	flags    map[string]string // those that are given
	operands []string          // of LinkLocal
	problems []string
}

// ParseArguments reads a command line in which flags, with one dash or two, may be on
// both sides of the command. The flag package would stop at the first error; here Load
// reports all of them. No error repeats a value: it may be a secret that was meant for a
// flag that does not exist.
func ParseArguments(words []string) Arguments {
	a := Arguments{flags: make(map[string]string)}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if strings.HasPrefix(word, "-") {
			words = a.parseFlag(strings.TrimLeft(word, "-"), words)
		} else {
			a.parseWord(word)
		}
	}
	return a
}

// parseFlag reads a flag and, from the words that follow, its value; it returns the
// words that are left.
func (a *Arguments) parseFlag(flag string, following []string) []string {
	name, value, hasValue := strings.Cut(flag, "=")
	switch name {
	case "help", "h":
		a.Help = true
		return following
	case "version":
		a.Version = true
		return following
	}
	if !hasFlag(name) {
		a.fail("unknown flag --%s: see sidecar --help", name)
		if !hasValue && len(following) > 0 && !strings.HasPrefix(following[0], "-") {
			return following[1:] // without what is most likely its value
		}
		return following
	}
	if !hasValue && len(following) > 0 {
		value, hasValue, following = following[0], true, following[1:]
	}
	if !hasValue {
		a.fail("--%s: needs a value", name)
	}
	a.flags[name] = value
	return following
}

// parseWord reads a word that is not a flag.
func (a *Arguments) parseWord(word string) {
	switch {
	case a.Command == LinkLocal:
		a.operands = append(a.operands, word)
		return
	case a.Command != Serve:
		a.fail("more than one command: %q follows %q", word, a.Command)
		return
	case word != Ready && word != LinkLocal:
		a.fail("unknown command %q: use %s or %s, or no command to serve credentials", word, Ready, LinkLocal)
	}
	a.Command = word
}

func (a *Arguments) fail(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}
