package token

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"irsa-sidecar/test/standin"
)

func TestGetIdentityToken(t *testing.T) {
	good := standin.NewIssuer("https://issuer.example").Token(standin.Claims{})
	longest := "a.b2." + strings.Repeat("c", maxLength-len("a.b2."))
	tests := []struct {
		name    string
		content string
		want    string // the token, or what the error must contain
		fails   bool
	}{
		{name: "a real token", content: good, want: good},
		{name: "white space around it", content: " \n" + good + "\r\n\n", want: good},
		{name: "longest", content: strings.Replace(longest, "a.", "ab.", 1)[:maxLength], want: strings.Replace(longest, "a.", "ab.", 1)[:maxLength]},
		{name: "too long", content: "aa.bb." + strings.Repeat("c", maxLength), want: "at most 20000 are accepted", fails: true},
		{name: "huge", content: strings.Repeat("x", 1<<20), want: "more than 21000 bytes", fails: true},
		{name: "empty", content: "", want: "is empty", fails: true},
		{name: "only white space", content: " \n ", want: "is empty", fails: true},
		{name: "binary", content: "\x00\x01\xff.\x00.\x00", want: "segment 1 is not base64url", fails: true},
		{name: "two segments", content: "aaaa.bbbb", want: "2 segments", fails: true},
		{name: "four segments", content: "aaaa.bbbb.cccc.dddd", want: "4 segments", fails: true},
		{name: "no signature", content: "aaaa.bbbb.", want: "segment 3 is not base64url", fails: true},
		{name: "standard base64", content: "aaaa.bb+/.cccc", want: "segment 2 is not base64url", fails: true},
		{name: "padded", content: "aaaa.bbb=.cccc", want: "segment 2 is not base64url", fails: true},
		{name: "line break inside", content: "aaaa.bb\nbb.cccc", want: "segment 2 is not base64url", fails: true},
		{name: "HTML", content: "<html>sign in</html>", want: "does not hold a JWT", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := File(path).GetIdentityToken()
			if !tt.fails {
				if err != nil || string(got) != tt.want {
					t.Fatalf("got %q, %v", got, err)
				}
				return
			}
			checkTokenError(t, err, path, tt.want)
			if len(tt.content) > 3 && strings.Contains(err.Error(), strings.TrimSpace(tt.content)) {
				t.Errorf("error repeats the content: %v", err)
			}
		})
	}
}

// The kubelet replaces the file, and the old token expires.
func TestGetIdentityTokenReadsTheFileAgain(t *testing.T) {
	file := File(filepath.Join(t.TempDir(), "token"))
	for _, token := range []string{"aaaa.bbbb.cccc", "dddd.eeee.ffff"} {
		if err := os.WriteFile(string(file), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := file.GetIdentityToken(); err != nil || string(got) != token {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestGetIdentityTokenWithoutARegularFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "missing"), "does not exist"},
		{"directory missing", filepath.Join(dir, "missing", "token"), "does not exist"},
		{"a directory", dir, "is not a regular file"},
		{"a pipe without a writer", fifo, "is not a regular file"},
		{"a loop of links", loop, "too many levels of symbolic links"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := File(tt.path).GetIdentityToken()
			checkTokenError(t, err, tt.path, tt.want)
		})
	}
}

func checkTokenError(t *testing.T, err error, path, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{want, path} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
	coded, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	if !ok || coded.ErrorCode() != "token" {
		t.Errorf("error %v does not have the code token", err)
	}
}

func FuzzGetIdentityToken(f *testing.F) {
	f.Add([]byte(standin.NewIssuer("https://issuer.example").Token(standin.Claims{})))
	f.Add([]byte("aaaa.bbbb.cccc\n"))
	f.Add([]byte("..\r\n"))
	path := filepath.Join(f.TempDir(), "token")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := File(path).GetIdentityToken()
		if err != nil {
			return
		}
		if len(got) > maxLength || strings.Count(string(got), ".") != 2 {
			t.Errorf("%q cannot be a token", got)
		}
		for _, c := range got {
			if c <= ' ' || c > '~' {
				t.Errorf("%q contains a character that no token has", got)
			}
		}
	})
}
