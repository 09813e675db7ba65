package sts

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSanitize(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw"
	const dropped = "[dropped: it repeats the token]"
	tests := []struct{ name, text, want string }{
		{"plain", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"control characters", "a\x00b\x1b[31mc\r\nd\te\u202ef\u0085g", "ab[31mc d efg"},
		{"not UTF-8", "a\xff\xfeb", "ab"},
		{"long", strings.Repeat("x", 501), strings.Repeat("x", 500)},
		{"long, cut within a character", strings.Repeat("x", 499) + "é", strings.Repeat("x", 499)},
		{"the token", "bad token " + token + " sent", dropped},
		{"a segment", "bad signature c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw", dropped},
		{"the token cut off", "bad token " + token[:40], dropped},
		{"the middle of a segment", "near " + token[25:45], dropped},
		{"at the end of the text", "near " + token[25:41], dropped},
		{"too short to recognize", "near " + token[25:40], "near " + token[25:40]},
		{"the token with control characters between", "eyJh\x00bGci\x01OiJSUzI1NiJ9", dropped},
		{"the token in short lines", "eyJhbGci\nOiJSUzI1\nNiJ9.eyJ\nzdWIiOiJ", dropped},
		{"a segment beyond the cut", strings.Repeat("x ", 300) + token, dropped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sanitize(tt.text, token); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add("Not authorized", "aaaa.bbbb.cccc")
	f.Add("echo aaaa.bb\x00bb.cccc", "aaaa.bbbb.cccc")
	f.Add("\xff\u202e…", "..")
	f.Fuzz(func(t *testing.T, text, token string) {
		got := sanitize(text, token)
		if len(got) > maxSanitized || !utf8.ValidString(got) {
			t.Errorf("%q has %d bytes or is not UTF-8", got, len(got))
		}
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q contains a control character", got)
		}
		if got == "[dropped: it repeats the token]" {
			return
		}
		for segment := range strings.SplitSeq(token, ".") {
			if segment != "" && strings.Contains(got, segment) {
				t.Errorf("%q contains %q of the token", got, segment)
			}
		}
	})
}
