//go:build !linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
)

func linkLocal(context.Context, []netip.Addr, *slog.Logger) error {
	return errors.New("link-local is for pods, which run on Linux")
}
