// Command licenses copies the licenses and notices of everything that is linked into a binary:
//
//	licenses BINARY DIRECTORY
//
// It exists because most of these licenses ask for that, and the binary itself says what is in
// it. A module without a license is an error.
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: licenses BINARY DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "licenses: %v\n", err)
		os.Exit(1)
	}
}

func run(binary, out string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	directories, err := download(info.Deps)
	if err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	// The standard library is linked too. The rest of the installation is not.
	err = copyTexts(strings.TrimSpace(string(root)), filepath.Join(out, "std@"+info.GoVersion), false)
	for module, directory := range directories {
		err = errors.Join(err, copyTexts(directory, filepath.Join(out, module), true))
	}
	return err
}

// download returns the directory of each module, by PATH@VERSION.
func download(modules []*debug.Module) (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	for _, m := range modules {
		if m.Replace != nil {
			m = m.Replace
		}
		args = append(args, m.Path+"@"+m.Version)
	}
	output, err := exec.Command("go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w\n%s", err, output)
	}
	directories := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var m struct{ Path, Version, Dir string }
		if err := decoder.Decode(&m); err != nil {
			return nil, err
		}
		directories[m.Path+"@"+m.Version] = m.Dir
	}
	return directories, nil
}

// Also LICENSE.txt, LICENSE-MIT and COPYING, but no source file.
var isText = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents)([-.](md|txt|rst|html|[a-z0-9-]+))?$`)

// copyTexts copies licenses and notices to out, deep for those of code that a module has
// taken from others.
func copyTexts(directory, out string, deep bool) error {
	found := false
	err := filepath.WalkDir(directory, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != directory && (!deep || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !isText.MatchString(entry.Name()) || filepath.Ext(name) == ".go" {
			return nil
		}
		relative, err := filepath.Rel(directory, name)
		if err != nil {
			return err
		}
		found = found || !strings.HasPrefix(strings.ToLower(entry.Name()), "notice")
		return copyFile(name, filepath.Join(out, relative))
	})
	if err == nil && !found {
		err = fmt.Errorf("%s has no license", directory)
	}
	return err
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
