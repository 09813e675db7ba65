package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// width is how many columns the text may have. Commands and policies are not broken.
const width = 100

// textIndent is where texts begin: after a status of four letters and the longest name of a
// step, with two spaces behind each.
const textIndent = 4 + 2 + 10 + 2

// Text writes results as lines for people. A failure to write is not reported: there is
// nowhere to.
type Text struct {
	W      io.Writer
	Colour bool
}

// Begin announces the calls.
func (t Text) Begin(calls string) { fmt.Fprintf(t.W, "sidecar check %s.\n", calls) }

// Result writes a result.
func (t Text) Result(r Result) {
	status := fmt.Sprintf("%-4s", r.Status)
	if colour, ok := map[Status]int{OK: 32, Failed: 31, Warned: 33}[r.Status]; t.Colour && ok {
		status = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, status)
	}
	indent := strings.Repeat(" ", textIndent)
	text := strings.Join(wrap(r.Text, width-textIndent), "\n"+indent)
	fmt.Fprintf(t.W, "%s  %-10s  %s\n", status, r.Step, text)
	for _, advice := range r.Advice {
		text := strings.Join(wrap(advice, width-textIndent-2), "\n  "+indent)
		fmt.Fprintf(t.W, "%s- %s\n", indent, text)
	}
	if r.Paste != "" {
		fmt.Fprintf(t.W, "\n%s\n\n", r.Paste)
	}
}

// End says how it went.
func (t Text) End(failed bool) {
	if failed {
		fmt.Fprintln(t.W, "The first FAIL is most likely the cause of those after it.")
	}
}

// wrap breaks a text into lines of at most that many characters, at spaces where it can.
func wrap(text string, width int) (lines []string) {
	var line []rune
	for field := range strings.FieldsSeq(text) {
		word := []rune(field)
		if len(line) > 0 && len(line)+1+len(word) > width {
			lines, line = append(lines, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, word...); len(line) > width; line = line[width:] {
			lines = append(lines, string(line[:width]))
		}
	}
	return append(lines, string(line))
}

// JSON writes results as one object, piece by piece, so that calls are announced before they
// are made.
type JSON struct {
	W    io.Writer
	more bool
}

// Begin announces the calls.
func (j *JSON) Begin(calls string) {
	text, _ := json.Marshal(calls) // a string can always be marshalled
	fmt.Fprintf(j.W, "{\"calls\":%s,\n\"steps\":[", text)
}

// Result writes a result.
func (j *JSON) Result(r Result) {
	separator := ",\n"
	if !j.more {
		separator, j.more = "\n", true
	}
	text, _ := json.Marshal(r) // strings can always be marshalled
	fmt.Fprintf(j.W, "%s%s", separator, text)
}

// End closes the object.
func (j *JSON) End(failed bool) { fmt.Fprintf(j.W, "\n],\n\"failed\":%t}\n", failed) }
