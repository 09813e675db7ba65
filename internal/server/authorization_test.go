package server

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAuthorizationOnTheWire(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", maxAuthorization)
	tests := []struct {
		name    string
		token   string // of the door; empty: none is needed
		headers string
		want    int
	}{
		{"right", "right", "\nAuthorization: right", 200},
		{"right, lower-case name", "right", "\nauthorization: right", 200},
		{"right, white space around it", "right", "\nAuthorization: \t right ", 200},
		{"right, with a space inside", "Bearer right", "\nAuthorization: Bearer right", 200},
		{"right, longest", longest, "\nAuthorization: " + longest, 200},
		{"none needed", "", "", 200},
		{"none needed, one sent", "", "\nAuthorization: any", 200},
		{"none needed, two sent", "", "\nAuthorization: any\nAuthorization: other", 200},

		{"missing", "right", "", 401},
		{"empty", "right", "\nAuthorization:", 401},
		{"wrong", "right", "\nAuthorization: wrong", 401},
		{"a prefix", "right", "\nAuthorization: righ", 401},
		{"longer", "right", "\nAuthorization: right!", 401},
		{"other case", "right", "\nAuthorization: Right", 401},
		{"with a scheme", "right", "\nAuthorization: Bearer right", 401},
		{"without its scheme", "Bearer right", "\nAuthorization: right", 401},
		{"twice", "right", "\nAuthorization: right\nAuthorization: right", 401},
		{"right and wrong", "right", "\nAuthorization: right\nAuthorization: wrong", 401},
		{"in a list", "right", "\nAuthorization: right, right", 401},
		{"in another header", "right", "\nX-Authorization: right", 401},
		{"for a proxy", "right", "\nProxy-Authorization: right", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a *Authorization
			if tt.token != "" {
				a = mustAuthorize(t, tt.token)
			}
			got := exchange(t, serve(t, newDoor(always(sample()), a)), "GET /v1/credentials HTTP/1.1\nHost: localhost"+tt.headers)
			checkFraming(t, got)
			if got.status != tt.want {
				t.Fatalf("got %d, want %d", got.status, tt.want)
			}
			if got.status == http.StatusOK {
				return
			}
			if code, message := got.fault(t); code != "Unauthorized" || strings.Contains(message, tt.token+" ") {
				t.Errorf("got %s: %s", code, message)
			}
		})
	}
}

func TestNewAuthorization(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", maxAuthorization)
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
			file := filepath.Join(t.TempDir(), "token")
			write(t, file, tt.token)
			fromFile, fileErr := NewAuthorizationFile(file, slog.New(slog.DiscardHandler))
			got, err := NewAuthorization(tt.token)
			if !tt.fails {
				if err != nil || got.Token() != tt.want {
					t.Errorf("got %v, %v", got, err)
				}
				if fileErr != nil || fromFile.Token() != tt.want {
					t.Errorf("from a file: got %v, %v", fromFile, fileErr)
				}
				return
			}
			for _, err := range []error{err, fileErr} {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v, want an error with %q", err, tt.want)
				}
			}
			// The name is a token where somebody has mixed up the two.
			if fileErr != nil && strings.Contains(fileErr.Error(), file) {
				t.Errorf("error repeats the name of the file: %v", fileErr)
			}
		})
	}
}

func TestNewAuthorizationFileOfNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	write(t, huge, strings.Repeat(" ", 1<<20-1)+"x")
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
			a, err := NewAuthorizationFile(tt.file, slog.New(slog.DiscardHandler))
			if a != nil || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.file) {
				t.Errorf("got %v, %v, want an error with %q that does not name the file", a, err, tt.want)
			}
		})
	}
}

// What happens to the file, and what counts when a look at it is due.
func TestAuthorizationFileChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "canary-1\n")
	var log journal
	a, err := NewAuthorizationFile(file, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	gone := func(t *testing.T) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(content string) func(*testing.T) {
		return func(t *testing.T) { write(t, file, content) }
	}
	steps := []struct {
		name    string
		change  func(*testing.T)
		changes int // that the log has told so far
		trouble int // as well
		want    string
	}{
		{"unchanged", func(*testing.T) {}, 0, 0, "canary-1"},
		{"only the white space", holds(" canary-1 "), 0, 0, "canary-1"},
		{"changed", holds("canary-2"), 1, 0, "canary-2"},
		{"empty", holds(""), 1, 1, "canary-2"},
		{"still empty", func(*testing.T) {}, 1, 1, "canary-2"},
		{"missing", gone, 1, 1, "canary-2"},
		{"back, and other", holds("canary-3"), 2, 1, "canary-3"},
		{"binary", holds("canary\x00\xff"), 2, 2, "canary-3"},
		{"the same again", holds("canary-3"), 2, 2, "canary-3"},
		{"huge", holds(strings.Repeat("canary", 1<<16)), 2, 3, "canary-3"},
		{"recovered", holds("canary-4"), 3, 3, "canary-4"},
	}
	for _, step := range steps {
		step.change(t)
		now = now.Add(2 * time.Second)
		a.look(now.UnixNano())
		if got := *a.token.Load(); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
		if n := strings.Count(log.String(), "token changed"); n != step.changes {
			t.Errorf("%s: %d changes logged, want %d", step.name, n, step.changes)
		}
		if n := strings.Count(log.String(), `"level":"WARN"`); n != step.trouble {
			t.Errorf("%s: %d warnings logged, want %d", step.name, n, step.trouble)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log repeats a token: %s", log.String())
	}
}

// When the file is looked at, relative to the time that the token was read.
func TestAuthorizationFileLooks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		age  time.Duration
		want string
	}{
		{"at once", 0, "old"},
		{"soon", authorizationAge / 2, "old"},
		{"due", authorizationAge + 100*time.Millisecond, "new"},
		{"long idle", 24 * time.Hour, "new"},
		{"clock set back", -time.Hour, "new"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "token")
			write(t, file, "old")
			a, err := NewAuthorizationFile(file, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			read := time.Unix(0, a.lookAt.Load()).Add(-authorizationAge)
			write(t, file, "new")
			a.look(read.Add(tt.age).UnixNano())
			if got := *a.token.Load(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The contract as a client sees it: a change counts within two seconds, for
// requests at whatever times.
func TestAuthorizationFileWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, "old")
		a, err := NewAuthorizationFile(file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for range 25 {
			time.Sleep(100 * time.Millisecond)
			if !a.allows([]string{"old"}) {
				t.Fatal("the old token is refused")
			}
		}
		write(t, file, "new")
		changed := time.Now()
		for !a.allows([]string{"new"}) {
			time.Sleep(100 * time.Millisecond)
			if time.Since(changed) > 2*time.Second {
				t.Fatal("the new token is refused after two seconds")
			}
		}
		if a.allows([]string{"old"}) {
			t.Error("the old token passes beside the new one")
		}
	})
}

func TestAuthorizationIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "a")
	a, err := NewAuthorizationFile(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			now := time.Now()
			for range 100 {
				now = now.Add(authorizationAge + 1)
				a.look(now.UnixNano())
				if token := a.Token(); token != "a" && token != "b" {
					t.Errorf("got %q", token)
				}
				if i == 0 {
					publish(t, file, "b")
				}
			}
		})
	}
	wg.Wait()
	a.look(time.Now().Add(time.Hour).UnixNano())
	if got := *a.token.Load(); got != "b" {
		t.Errorf("got %q in the end, want b", got)
	}
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// publish replaces file at once, so that no reader sees half of it.
func publish(t testing.TB, file, content string) {
	fresh := file + ".new"
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Rename(fresh, file); err != nil {
		t.Error(err)
	}
}
