package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAuthorizationToken(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", maxTokenLength)
	tests := []struct {
		name  string
		token string
		fails bool
		want  string // the token, or what the error must contain
	}{
		{"plain", "canary", false, "canary"},
		{"white space around it", " \t canary\r\n", false, "canary"},
		{"every printable character", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", false, "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"},
		{"longest", longest, false, longest},
		{"too long", longest + "x", true, "4097 bytes"},
		{"empty", "", true, "empty"},
		{"only white space", " \r\n\t", true, "empty"},
		{"line break inside", "canary\nX-Evil: x", true, "printable ASCII"},
		{"carriage return inside", "canary\rx", true, "printable ASCII"},
		{"tab inside", "canary\tx", true, "printable ASCII"},
		{"NUL", "canary\x00x", true, "printable ASCII"},
		{"DEL", "canary\x7fx", true, "printable ASCII"},
		{"not ASCII", "canary\u00e9", true, "printable ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, filepath.Join(t.TempDir(), "token"), tt.token)
			token, err := checkToken(tt.token)
			fromFile, fileErr := readToken(file)
			if !tt.fails {
				if err != nil || token != tt.want || fileErr != nil || fromFile != tt.want {
					t.Errorf("got %q, %v, and from a file %q, %v", token, err, fromFile, fileErr)
				}
				return
			}
			for _, err := range []error{err, fileErr} {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v, want an error with %q", err, tt.want)
				}
			}
			// If somebody mixes up the two settings, the file name is a token.
			if fileErr != nil && strings.Contains(fileErr.Error(), file) {
				t.Errorf("error repeats the name of the file: %v", fileErr)
			}
		})
	}
}

func TestUnusableAuthorizationTokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := write(t, filepath.Join(dir, "huge"), strings.Repeat(" ", 1<<20-1)+"x")
	tests := []struct {
		name string
		file string
		want string
	}{
		{"missing", filepath.Join(dir, "missing"), "no such file"},
		{"directory", dir, "not a regular file"},
		{"endless", "/dev/zero", "not a regular file"},
		{"huge", huge, "1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token, err := readToken(tt.file)
			if token != "" || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.file) {
				t.Errorf("got %q, %v, want an error with %q that does not name the file", token, err, tt.want)
			}
		})
	}
}
