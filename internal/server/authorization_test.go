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

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/token"
	"irsa-sidecar/test/rawhttp"
)

func TestAuthorizationOnTheWire(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", 4<<10)
	tests := []struct {
		name    string
		token   string // of the endpoint; empty: none is needed
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
				a = NewAuthorization(tt.token)
			}
			got := rawhttp.Exchange(t, serve(t, newContainer(always(sample()), a)), "GET /v1/credentials HTTP/1.1\nHost: localhost"+tt.headers)
			checkFraming(t, got)
			if got.Status != tt.want {
				t.Fatalf("got %d, want %d", got.Status, tt.want)
			}
			if got.Status == http.StatusOK {
				return
			}
			if code, message := fault(t, got); code != "Unauthorized" || strings.Contains(message, tt.token+" ") {
				t.Errorf("got %s: %s", code, message)
			}
		})
	}
}

// authorizationFromFile returns the Authorization of the token in file.
func authorizationFromFile(t *testing.T, file string, log *slog.Logger) *Authorization {
	t.Helper()
	read := func() (string, error) { return config.ReadAuthorizationToken(token.ReadFile, file) }
	first, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return NewReloadedAuthorization(first, file, read, log)
}

// Changes of the file, and the token in effect after the next reload.
func TestAuthorizationFileChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "canary-1\n")
	var log journal
	a := authorizationFromFile(t, file, log.logger())
	now := time.Now()
	remove := func(t *testing.T) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	content := func(text string) func(*testing.T) {
		return func(t *testing.T) { write(t, file, text) }
	}
	steps := []struct {
		name    string
		change  func(*testing.T)
		changes int // in the log so far
		warned  int // warnings in the log so far
		want    string
	}{
		{"unchanged", func(*testing.T) {}, 0, 0, "canary-1"},
		{"only the white space", content(" canary-1 "), 0, 0, "canary-1"},
		{"changed", content("canary-2"), 1, 0, "canary-2"},
		{"empty", content(""), 1, 1, "canary-2"},
		{"still empty", func(*testing.T) {}, 1, 1, "canary-2"},
		{"missing", remove, 1, 1, "canary-2"},
		{"back with another token", content("canary-3"), 2, 1, "canary-3"},
		{"binary", content("canary\x00\xff"), 2, 2, "canary-3"},
		{"the same again", content("canary-3"), 2, 2, "canary-3"},
		{"huge", content(strings.Repeat("canary", 1<<16)), 2, 3, "canary-3"},
		{"recovered", content("canary-4"), 3, 3, "canary-4"},
	}
	for _, step := range steps {
		step.change(t)
		now = now.Add(2 * time.Second)
		a.reload(now.UnixNano())
		if got := *a.token.Load(); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
		if n := strings.Count(log.String(), "token changed"); n != step.changes {
			t.Errorf("%s: %d changes logged, want %d", step.name, n, step.changes)
		}
		if n := strings.Count(log.String(), `"level":"WARN"`); n != step.warned {
			t.Errorf("%s: %d warnings logged, want %d", step.name, n, step.warned)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log repeats a token: %s", log.String())
	}
}

// When the file is read again, by the time since it was last read.
func TestAuthorizationFileReloads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		age  time.Duration
		want string
	}{
		{"at once", 0, "old"},
		{"soon", reloadPeriod / 2, "old"},
		{"due", reloadPeriod + 100*time.Millisecond, "new"},
		{"long idle", 24 * time.Hour, "new"},
		{"clock set back", -time.Hour, "new"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "token")
			write(t, file, "old")
			a := authorizationFromFile(t, file, slog.New(slog.DiscardHandler))
			read := time.Unix(0, a.reloadAt.Load()).Add(-reloadPeriod)
			write(t, file, "new")
			a.reload(read.Add(tt.age).UnixNano())
			if got := *a.token.Load(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The contract as a client sees it: a change takes effect within two seconds, whenever
// requests come.
func TestAuthorizationFileWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, "old")
		a := authorizationFromFile(t, file, slog.New(slog.DiscardHandler))
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
			t.Error("the old token is accepted in addition to the new one")
		}
	})
}

func TestAuthorizationIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "a")
	a := authorizationFromFile(t, file, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			now := time.Now()
			for range 100 {
				now = now.Add(reloadPeriod + 1)
				a.reload(now.UnixNano())
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
	a.reload(time.Now().Add(time.Hour).UnixNano())
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

// publish replaces file atomically.
func publish(t testing.TB, file, content string) {
	fresh := file + ".new"
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Rename(fresh, file); err != nil {
		t.Error(err)
	}
}
