package config

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"irsa-sidecar/internal/token"
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
			got, err := checkToken(tt.token)
			fromFile, fileErr := ReadAuthorizationToken(token.ReadFile, file)
			if !tt.fails {
				if err != nil || got != tt.want || fileErr != nil || fromFile != tt.want {
					t.Errorf("got %q, %v, and from a file %q, %v", got, err, fromFile, fileErr)
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

// Whatever a file is, reading it ends, and no error names it: the name is a secret if
// somebody mixed up the two.
func TestUnusableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		file string
		want string
	}{
		{"missing", filepath.Join(dir, "missing"), "no such file"},
		{"directory", dir, "is not a regular file"},
		{"endless", "/dev/zero", "is not a regular file"},
		{"pipe without a writer", fifo, "is not a regular file"},
		{"huge", write(t, filepath.Join(dir, "huge"), strings.Repeat(" ", 8<<20)+"x"), "has more than "},
	}
	for _, variable := range []string{"SIDECAR_AUTHORIZATION_TOKEN_FILE", "SIDECAR_SESSION_POLICY_FILE", "AWS_CA_BUNDLE"} {
		for _, tt := range tests {
			t.Run(variable+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				env := webhook()
				env[variable] = tt.file
				_, err := load(nil, env)
				if err == nil || !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.file) {
					t.Errorf("got %v, want an error with %q that does not name the file", err, tt.want)
				}
			})
		}
	}
}

// What a file should hold, set in place of its name, is never repeated.
func TestContentInPlaceOfAFile(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0"
	for _, variable := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "SIDECAR_AUTHORIZATION_TOKEN_FILE", "SIDECAR_SESSION_POLICY_FILE", "AWS_CA_BUNDLE"} {
		for _, content := range []string{token, token + ".c2ln", token + ".", token[:34], " " + token, "\n" + token, "./" + token, "hunter2", "-q7Zc0Vf3kX_w2RtYb9mLs", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
			`{"Version": "2012-10-17"}`, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"} {
			env := webhook()
			env[variable] = content
			_, err := load(nil, env)
			wrong, ok := errors.AsType[*Error](err)
			if !ok || len(wrong.Problems) != 1 || !strings.Contains(wrong.Problems[0], variable+"): must be the absolute path") && !strings.Contains(wrong.Problems[0], variable+": must be the absolute path") ||
				strings.Contains(err.Error(), content) {
				t.Errorf("%s=%q: got %v", variable, content, err)
			}
		}
	}
}

// The path of the command refresh is taken.
func TestRefreshPathIsTaken(t *testing.T) {
	env := webhook()
	env["SIDECAR_PATH"] = RefreshPath + "/"
	if _, err := load(nil, env); err == nil || !strings.Contains(err.Error(), "is where the command refresh asks") {
		t.Errorf("got %v", err)
	}
}
