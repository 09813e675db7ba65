// Chart writes the Helm chart: its templates are the kustomizations of deploy/, with the
// settings as expressions.
//
//	go -C release/chart run . -version v0.1.0 -registry registry.example.com -out DIR
//
// It writes an archive for helm install, an OCI archive of the same chart, and prints the digest
// that the chart has in a registry.
//
// The directories below kustomize/ patch those of deploy/: where a value is <<EXPRESSION>>, the
// template has {{ EXPRESSION }}. source/ is the rest of the chart.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "of the release, such as v0.1.0")
	registry := flag.String("registry", "", "where the images are, such as registry.example.com; the chart's default")
	out := flag.String("out", ".", "the directory for the archives")
	flag.Parse()
	if err := run(*version, *registry, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(version, registry, out string, stdout io.Writer) error {
	files, err := chart(version, registry)
	if err != nil {
		return err
	}
	archive, err := pack(files)
	if err != nil {
		return err
	}
	layout, digest, err := layout(files["Chart.yaml"], archive)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, digest)
	return errors.Join(
		err,
		os.WriteFile(filepath.Join(out, "irsa-sidecar-"+strings.TrimPrefix(version, "v")+".tgz"), archive, 0o644),
		os.WriteFile(filepath.Join(out, "irsa-sidecar-chart-"+version+".oci.tar"), layout, 0o644),
	)
}

// Helm refuses others: https://semver.org.
var validVersion = regexp.MustCompile(`^v(0|[1-9][0-9]*)([.](0|[1-9][0-9]*)){2}(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$`)

// chart returns the files of the chart by name.
func chart(version, registry string) (files map[string][]byte, err error) {
	if !validVersion.MatchString(version) {
		return nil, fmt.Errorf("version %q: must be like v0.1.0", version)
	}
	files = map[string][]byte{}
	if err := readAll(files, "source"); err != nil {
		return nil, err
	}
	if files["LICENSE"], err = os.ReadFile(filepath.Join("..", "..", "LICENSE")); err != nil {
		return nil, err
	}
	replacements := []replacement{
		{"Chart.yaml", "\nversion: 0.0.0\n", "\nversion: " + strings.TrimPrefix(version, "v") + "\n"},
		{"Chart.yaml", "\nappVersion: v0.0.0\n", "\nappVersion: " + version + "\n"},
	}
	if registry != "" {
		for _, image := range []string{"irsa-sidecar", "irsa-sidecar-injector"} {
			replacements = append(replacements, replacement{"values.yaml",
				`repository: "" # such as registry.example.com/` + image + "\n",
				"repository: " + registry + "/" + image + "\n"})
		}
	}
	for _, r := range replacements {
		if err := r.apply(files); err != nil {
			return nil, err
		}
	}
	for _, t := range templates {
		text, err := t.render()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.directory, err)
		}
		files["templates/"+t.directory+".yaml"] = []byte(text)
	}
	return files, nil
}

type replacement struct{ file, old, new string }

func (r replacement) apply(files map[string][]byte) error {
	if n := strings.Count(string(files[r.file]), r.old); n != 1 {
		return fmt.Errorf("%s has %q %d times, not once", r.file, r.old, n)
	}
	files[r.file] = []byte(strings.Replace(string(files[r.file]), r.old, r.new, 1))
	return nil
}

func readAll(files map[string][]byte, directory string) error {
	root := os.DirFS(directory)
	return fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(root, name)
		return err
	})
}

// names returns the names of files in the order in which they are written.
func names(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }
