package check

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

var sample = []Result{
	{Step: "settings", Status: OK, Text: "valid"},
	{Step: "STS", Status: Failed, Text: strings.Repeat("word ", 60), Advice: []string{strings.Repeat("advice ", 40), "short"}, Paste: strings.Repeat("x", 150) + "\n  }"},
	{Step: "token file", Status: Skipped, Text: strings.Repeat("ü", 250)},
	{Step: "metadata", Status: Warned, Text: ""},
}

// Nothing has more than 100 columns but what is to be pasted, which is in one piece.
func TestTextFits(t *testing.T) {
	var b strings.Builder
	text := Text{W: &b}
	text.Begin("calls nobody")
	for _, r := range sample {
		text.Result(r)
	}
	text.End(true)
	pasted := 0
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if line == strings.Repeat("x", 150) || line == "  }" {
			pasted++
		} else if utf8.RuneCountInString(line) > 100 || strings.TrimRight(line, " ") != line && !strings.HasPrefix(line, "warn") {
			t.Errorf("%q has %d columns", line, utf8.RuneCountInString(line))
		}
	}
	if pasted != 2 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("got\n%s", b.String())
	}
	for _, want := range []string{"sidecar check calls nobody.\n", "\nok    settings    valid\n", "\nFAIL  STS         word", "\n                  - advice", "\n                  - short\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Count(b.String(), "word") != 60 || strings.Count(b.String(), "advice") != 40 || strings.Count(b.String(), "ü") != 250 {
		t.Errorf("words are lost:\n%s", b.String())
	}
}

func TestColour(t *testing.T) {
	var b strings.Builder
	Text{W: &b, Colour: true}.Result(sample[1])
	if !strings.HasPrefix(b.String(), "\x1b[31mFAIL\x1b[0m  STS ") {
		t.Errorf("got %q", b.String())
	}
}

// The object says the same as the text, and announces calls before it has any result.
func TestJSON(t *testing.T) {
	var b strings.Builder
	object := &JSON{W: &b}
	object.Begin("calls nobody")
	if !strings.Contains(b.String(), "calls nobody") {
		t.Errorf("it begins with %q", b.String())
	}
	for _, r := range sample {
		object.Result(r)
	}
	object.End(true)
	var got struct {
		Calls  string
		Steps  []Result
		Failed bool
	}
	decode(t, []byte(b.String()), &got)
	if got.Calls != "calls nobody" || !got.Failed || len(got.Steps) != len(sample) || got.Steps[1].Paste != sample[1].Paste || len(got.Steps[1].Advice) != 2 {
		t.Errorf("got %+v", got)
	}
}

// What others wrote does not control the terminal.
func TestControlCharacters(t *testing.T) {
	evil := "a\x1b[2J\r\n\tb\u202ec\x00"
	r := Result{Text: evil, Advice: []string{evil}, Paste: "x\n" + evil}.clean()
	for _, text := range []string{r.Text, r.Advice[0], strings.ReplaceAll(r.Paste, "\n", "")} {
		if strings.ContainsAny(text, "\x1b\r\n\t\x00\u202e") {
			t.Errorf("got %q", text)
		}
	}
}
