package sts

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSanitized bounds what is repeated of a text from outside, in bytes.
const maxSanitized = 500

// sanitize makes a text from outside safe to repeat: it removes control characters,
// cuts the text to 500 bytes, and drops all of it if it holds a part of the token that
// could be recognised.
func sanitize(text, token string) string {
	text = strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' {
			return ' '
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, text)
	if repeats(text, token) {
		return "[dropped: it repeats the token]"
	}
	if len(text) > maxSanitized {
		text = strings.ToValidUTF8(text[:maxSanitized], "")
	}
	return text
}

// repeats reports whether text holds a segment of token, or a part of token that is too
// long to be there by chance, even with other characters in between.
func repeats(text, token string) bool {
	const byChance = 16
	for segment := range strings.SplitSeq(token, ".") {
		if segment != "" && strings.Contains(text, segment) {
			return true
		}
	}
	joined := strings.Map(func(c rune) rune {
		if isBase64URL(c) {
			return c
		}
		return -1
	}, text)
	for i := range len(joined) - byChance + 1 {
		if strings.Contains(token, joined[i:i+byChance]) {
			return true
		}
	}
	return false
}

func isBase64URL(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
