// Package internal has a test of the shape of the code, and the packages of the sidecar.
package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	// A longer file is usually two things, and so is a longer function. Functions of
	// tests may be longer: many are tables.
	mostLines         = 300
	mostFunctionLines = 42
)

// No package under internal/ imports another: cmd/sidecar alone knows them all, and hands
// to each what it needs of the others. Tests may import them, to test with the real thing.
func TestNoSiblingIsImported(t *testing.T) {
	packages := map[string]bool{}
	walk(t, ".", func(name string, _ *token.FileSet, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		packages[filepath.Dir(name)] = true
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "irsa-sidecar/") {
				t.Errorf("%s imports %s", name, path)
			}
			if strings.Contains(path, "/netlink") && filepath.Dir(name) != "linklocal" {
				t.Errorf("%s imports %s, which is for linklocal alone", name, path)
			}
		}
	})
	if len(packages) < 7 {
		t.Errorf("only the packages %v", packages)
	}
}

func TestLengths(t *testing.T) {
	for _, root := range []string{".", "../cmd", "../injector", "../release", "../test"} {
		walk(t, root, func(name string, files *token.FileSet, file *ast.File) {
			if n := files.File(file.Pos()).LineCount(); n > mostLines {
				t.Errorf("%s has %d lines, the most is %d", name, n, mostLines)
			}
			if root == "../test" || strings.HasSuffix(name, "_test.go") {
				return
			}
			for _, declaration := range file.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if !ok {
					continue
				}
				n := files.Position(function.End()).Line - files.Position(function.Pos()).Line + 1
				if n > mostFunctionLines {
					t.Errorf("%s: %s has %d lines, the most is %d", name, function.Name.Name, n, mostFunctionLines)
				}
			}
		})
	}
}

// walk calls visit with every Go file below root.
func walk(t *testing.T, root string, visit func(name string, files *token.FileSet, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err == nil {
			visit(name, files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
