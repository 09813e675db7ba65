// Command kill sends SIGKILL to processes, as the kernel does when memory runs out.
//
//	kill NAME    kills every process with NAME in /proc/PID/comm; fails if there is none
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kill NAME")
		os.Exit(2)
	}
	killed, err := kill(os.Args[1])
	if err == nil && killed == 0 {
		err = fmt.Errorf("no process is named %s", os.Args[1])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "kill: %v\n", err)
		os.Exit(1)
	}
}

func kill(name string) (killed int, err error) {
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, comm := range comms {
		got, err := os.ReadFile(comm)
		if err != nil || strings.TrimSpace(string(got)) != name {
			continue // it may have exited
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(comm)))
		if err != nil {
			return killed, err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return killed, fmt.Errorf("process %d: %w", pid, err)
		}
		killed++
	}
	return killed, nil
}
