package main

import (
	"errors"
	"fmt"
	"syscall"
)

// prSetNoNewPrivs is PR_SET_NO_NEW_PRIVS of linux/prctl.h.
const prSetNoNewPrivs = 38

// harden gives up what the process never needs and an intruder would use:
//
//   - It is not dumpable, so that no other process of its user can read its memory,
//     its environment or its files through /proc, or trace it, and no core is written:
//     https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
//     The image's binary is not readable, which makes the kernel do that from the first
//     moment on.
//   - No core file is written even if something makes it dumpable again.
//   - What it executes, which is nothing, gains no privileges:
//     https://docs.kernel.org/userspace-api/no_new_privs.html
//
// An error says what the kernel refused; the rest is done anyway.
func harden() error {
	var errs []error
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		errs = append(errs, fmt.Errorf("process stays dumpable: %w", errno))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("core file size stays as it is: %w", err))
	}
	// The flag is a thread's, and there are other threads by now. A binary with cgo,
	// which the image's is not, cannot reach them.
	if _, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 && errno != syscall.ENOTSUP {
		errs = append(errs, fmt.Errorf("privileges could be gained: %w", errno))
	}
	return errors.Join(errs...)
}
