//go:build !linux

package linklocal

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
)

// Add always fails.
func Add(context.Context, []netip.Addr, *slog.Logger) error {
	return errors.New("link-local is for pods, which run on Linux")
}
