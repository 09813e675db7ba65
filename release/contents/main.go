// Command contents checks that the licenses and the SBOM of a binary name every module that is
// linked into it, by asking go version:
//
//	contents BINARY LICENSES SBOM
//
// It exists because another program wrote each of them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: contents BINARY LICENSES SBOM")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "contents: %v\n", err)
		os.Exit(1)
	}
}

func run(binary, licenses, sbom string, stdout io.Writer) error {
	output, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		return fmt.Errorf("go version -m: %w", err)
	}
	modules, err := linked(string(output))
	if err != nil {
		return err
	}
	components, err := readComponents(sbom)
	if err != nil {
		return err
	}
	for _, module := range modules {
		if texts, _ := filepath.Glob(filepath.Join(licenses, module, "*")); len(texts) == 0 {
			err = errors.Join(err, fmt.Errorf("%s has no license for %s", licenses, module))
		}
		if !components[module] {
			err = errors.Join(err, fmt.Errorf("%s does not have %s", sbom, module))
		}
	}
	if err == nil {
		fmt.Fprintf(stdout, "%s: %d modules\n", binary, len(modules))
	}
	return err
}

// linked returns the standard library and the modules in the output of go version -m.
func linked(output string) ([]string, error) {
	first, rest, _ := strings.Cut(output, "\n")
	_, version, ok := strings.Cut(first, ": ")
	if !ok {
		return nil, fmt.Errorf("go version -m: %q", first)
	}
	modules := []string{"std@" + version}
	for line := range strings.Lines(rest) {
		switch fields := strings.Fields(line); {
		case len(fields) > 2 && fields[0] == "dep":
			modules = append(modules, fields[1]+"@"+fields[2])
		case len(fields) > 2 && fields[0] == "=>":
			modules[len(modules)-1] = fields[1] + "@" + fields[2]
		}
	}
	if len(modules) == 1 {
		return nil, errors.New("go version -m names no module")
	}
	return modules, nil
}

// readComponents returns what an SBOM in the form of CycloneDX has, as MODULE@VERSION.
func readComponents(name string) (map[string]bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var sbom struct {
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &sbom); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	components := map[string]bool{}
	for _, c := range sbom.Components {
		components[c.Name+"@"+c.Version] = true
	}
	return components, nil
}
