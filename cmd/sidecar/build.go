package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// The linker sets both for an image. Elsewhere the Go command's stamp counts.
var version, revision string

// build is what the binary knows about how it was built.
type build struct{ version, revision, goVersion string }

func readBuild() build {
	b := build{version: cmp.Or(version, "unknown"), revision: cmp.Or(revision, "unknown"), goVersion: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.version, b.goVersion = cmp.Or(version, info.Main.Version), info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && revision == "" {
			b.revision = s.Value
		}
	}
	return b
}

func (b build) String() string {
	return fmt.Sprintf("sidecar %s (commit %s, %s)", b.version, b.revision, b.goVersion)
}
