package main

import (
	"fmt"
	"runtime/debug"
)

// build is what the binary knows about how it was built.
type build struct{ version, revision, goVersion string }

func readBuild() build {
	b := build{version: "unknown", revision: "unknown", goVersion: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.version, b.goVersion = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.revision = s.Value
		}
	}
	return b
}

func (b build) String() string {
	return fmt.Sprintf("sidecar %s (commit %s, %s)", b.version, b.revision, b.goVersion)
}
