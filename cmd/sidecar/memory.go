package main

import "runtime/debug"

// memoryLimit is where the garbage collector begins to work harder: half of the memory
// limit in the examples. The process needs a tenth. With a thousand connections that have
// large headers the heap would otherwise double before it is collected.
const memoryLimit = 32 << 20

// limitMemory sets the limit, unless GOMEMLIMIT does.
func limitMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
