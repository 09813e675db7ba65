//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

const insideVariable = "DEMO_INSIDE"

func inNamespace(context.Context, string, io.Writer, io.Writer) error {
	return errors.New("--pod-identity needs network namespaces, which only Linux has")
}

func addAgentAddress() error { return nil }
