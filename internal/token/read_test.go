package token

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("fifo", link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		file string
		most int
		want string // the content, or what the error must contain
		err  bool
	}{
		{name: "longest", file: file, most: 5, want: "12345"},
		{name: "too long", file: file, most: 4, want: "has more than 4 bytes", err: true},
		{name: "missing", file: file + "?", most: 5, want: "no such file", err: true},
		{name: "a directory", file: dir, most: 5, want: "is not a regular file", err: true},
		{name: "a pipe", file: fifo, most: 5, want: "is not a regular file", err: true},
		{name: "a link to a pipe", file: link, most: 5, want: "is not a regular file", err: true},
		{name: "a device", file: "/dev/zero", most: 5, want: "is not a regular file", err: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadFile(tt.file, tt.most)
			if !tt.err {
				if err != nil || string(got) != tt.want {
					t.Errorf("got %q, %v, want %q", got, err, tt.want)
				}
				return
			}
			if got != nil || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.file) {
				t.Errorf("got %q, %v, want an error with %q that does not name the file", got, err, tt.want)
			}
		})
	}
}

// P7, P8: a pipe that takes the place of the file between two looks at it hangs nobody.
func TestReadFileThatIsExchangedForAPipe(t *testing.T) {
	dir := t.TempDir()
	name, fifo, regular := filepath.Join(dir, "token"), filepath.Join(dir, "fifo"), filepath.Join(dir, "regular")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(regular, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, target := range []string{regular, fifo} {
				select {
				case <-stop:
					return
				default:
				}
				if err := os.Symlink(target, name+".new"); err != nil {
					t.Error(err)
					return
				}
				if err := os.Rename(name+".new", name); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	done := make(chan [2]int)
	go func() {
		var read, refused int
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			switch got, err := ReadFile(name, 5); {
			case err == nil && string(got) == "12345":
				read++
			case err != nil && strings.Contains(err.Error(), "is not a regular file"):
				refused++
			case err == nil:
				t.Errorf("read %q", got)
			}
		}
		done <- [2]int{read, refused}
	}()
	select {
	case counts := <-done:
		if counts[0] == 0 || counts[1] == 0 {
			t.Errorf("the file was read %d times and the pipe refused %d times, want both", counts[0], counts[1])
		}
	case <-time.After(waitTime):
		t.Fatal("a read hangs")
	}
}
