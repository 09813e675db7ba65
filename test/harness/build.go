package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root returns the directory of the sidecar's module.
func Root(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "irsa-sidecar").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module irsa-sidecar: %w: run this from within the module", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// Build builds the command in dir, relative to [Root], to the file binary. dir may be in
// a module of its own.
func Build(ctx context.Context, binary, dir string) error {
	return build(ctx, binary, dir, nil)
}

// BuildForImage builds a command as the Dockerfile does.
func BuildForImage(ctx context.Context, binary, dir string) error {
	return build(ctx, binary, dir, []string{"CGO_ENABLED=0"}, "-trimpath", "-ldflags=-s -w")
}

func build(ctx context.Context, binary, dir string, env []string, flags ...string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	// Without the VCS stamp, which fails in a checkout that another user owns.
	args := append([]string{"build", "-C", filepath.Join(root, dir), "-buildvcs=false", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", dir, err, out)
	}
	return nil
}
