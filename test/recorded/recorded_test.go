package recorded

import (
	"path/filepath"
	"reflect"
	"testing"
)

// What is written is read again: equal requests once, with all who sent them, and the
// order, case and repetitions of headers as they were.
func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	const head = "GET / HTTP/1.1\nhost: a\nX-B: 1\nx-a:\nX-B: 2"
	dir := t.TempDir()
	err := Write(filepath.Join(dir, "some.http"), []Request{
		{"imds", "GET /b HTTP/1.1", []string{"c 2"}},
		{"imds", head, []string{"b 1"}},
		{"ecs", head, []string{"b 1"}},
		{"imds", head, []string{"a 1"}},
		{"imds", head, []string{"b 1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadDir(dir)
	want := []Request{
		{"ecs", head, []string{"b 1"}},
		{"imds", head, []string{"a 1", "b 1"}},
		{"imds", "GET /b HTTP/1.1", []string{"c 2"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestReadRefusesABlockWithoutARequest(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "some.http")
	if err := Write(name, []Request{{"imds", "", []string{"a 1"}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(name); err == nil {
		t.Errorf("got %q", got)
	}
}
