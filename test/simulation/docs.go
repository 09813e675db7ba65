package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// page is the document with the tables, between two marker lines.
	page  = "scale.md"
	begin = "<!-- fleet: made by go run ./test/simulation -->"
	end   = "<!-- end of fleet -->"
)

// write writes the pictures to the folder, and the tables to the page there.
func (r report) write(folder string) error {
	for _, p := range r.pictures {
		if err := os.WriteFile(filepath.Join(folder, p.name), []byte(p.text), 0o644); err != nil {
			return err
		}
	}
	_, want, err := r.page(folder)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, page), []byte(want), 0o644)
}

// check returns an error for each file in the folder that differs from what write
// would write.
func (r report) check(folder string) error {
	got, want, err := r.page(folder)
	errs := []error{err, stale(page, got, want)}
	for _, p := range r.pictures {
		got, err := os.ReadFile(filepath.Join(folder, p.name))
		errs = append(errs, err, stale(p.name, got, p.text))
	}
	return errors.Join(errs...)
}

func stale(name string, got []byte, want string) error {
	if string(got) == want {
		return nil
	}
	return fmt.Errorf("docs/%s is stale: run go run ./test/simulation", name)
}

// page returns the current page, and the page with the tables of r.
func (r report) page(folder string) (got []byte, want string, err error) {
	path := filepath.Join(folder, page)
	got, err = os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("%w: it must exist and have the lines %s and %s around the tables", err, begin, end)
	}
	head, rest, hasBegin := strings.Cut(string(got), begin+"\n")
	_, tail, hasEnd := strings.Cut(rest, end+"\n")
	if !hasBegin || !hasEnd {
		return nil, "", fmt.Errorf("%s has no lines %s and %s around the tables", path, begin, end)
	}
	return got, head + begin + "\n\n" + r.tables + "\n" + end + "\n" + tail, nil
}
