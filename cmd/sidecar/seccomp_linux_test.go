package main

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"irsa-sidecar/test/harness"
)

// acceptErrors are errors of accept(2) on Linux that package net returns to its caller.
var acceptErrors = []syscall.Errno{
	syscall.ENOBUFS, syscall.ENOMEM, syscall.EPROTO, syscall.EPERM, syscall.EIO, syscall.EMFILE, syscall.ENFILE,
	syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.ENONET, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH,
}

// The structures of linux/seccomp.h.
type (
	seccompNotification struct {
		id        uint64
		pid       uint32
		flags     uint32
		syscall   int32
		arch      uint32
		ip        uint64
		arguments [6]uint64
	}
	seccompResponse struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// failAccepts makes every second accept(2) on a listener fail in processes that start
// starts. It also returns a function that returns how many failed, by file descriptor.
func failAccepts(t *testing.T) (start func(*exec.Cmd) *process, failures func() map[int]int) {
	t.Helper()
	var mu sync.Mutex
	calls, counts := map[int]int{}, map[int]int{}
	start = intercept(t, []uint32{unix.SYS_ACCEPT4}, func(call seccompNotification) (done func(), failure error) {
		listener := int(call.arguments[0])
		n := calls[listener]
		if n%2 != 0 {
			return func() { calls[listener]++ }, nil
		}
		return func() {
			mu.Lock()
			defer mu.Unlock()
			calls[listener]++
			counts[listener]++
		}, acceptErrors[n/2%len(acceptErrors)]
	})
	return start, func() map[int]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(counts)
	}
}

// intercept has decide choose the error of each system call with one of those numbers, nil for none,
// in processes that start starts later, and returns start. It calls the function that decide returns when
// that has come about.
//
// A filter of seccomp(2) lets the test decide the result of these system calls, with
// SECCOMP_RET_USER_NOTIF. It applies to one thread and to the processes which that starts.
// The test itself is on another one: it would wait for itself in such a system call.
func intercept(t *testing.T, numbers []uint32, decide func(seccompNotification) (done func(), failure error)) (start func(*exec.Cmd) *process) {
	t.Helper()
	filtered := make(chan func())
	go func() {
		runtime.LockOSThread() // forever: the thread exits with the goroutine
		for f := range filtered {
			f()
		}
	}()
	t.Cleanup(func() { close(filtered) })
	run := func(f func()) {
		done := make(chan struct{})
		filtered <- func() { defer close(done); f() }
		<-done
	}
	var fd int
	var err error
	run(func() { fd, err = notify(numbers) })
	if err != nil && os.Getuid() != 0 {
		t.Skipf("no seccomp notifications for user id %d: %v", os.Getuid(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for next(fd, stop) {
			reply(fd, decide)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		unix.Close(fd)
	})
	return func(cmd *exec.Cmd) *process {
		var running *harness.Process
		var err error
		run(func() { running, err = harness.Start(cmd) })
		return launched(t, cmd, running, err)
	}
}

// reply makes one system call fail, or continue.
func reply(fd int, decide func(seccompNotification) (done func(), failure error)) {
	var call seccompNotification
	if err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&call)); err != nil {
		return // the process was interrupted, or has exited
	}
	response := seccompResponse{id: call.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	done, failure := decide(call)
	if errno, fails := errors.AsType[unix.Errno](failure); fails {
		response = seccompResponse{id: call.id, errno: -int32(errno)}
	}
	if ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response)) == nil {
		done()
	}
}

// notify installs a filter of those system calls in the calling thread, and returns the file
// descriptor from which the notifications are read.
func notify(numbers []uint32) (fd int, err error) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the system call
	for _, number := range numbers {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Only with this may a process without privileges install a filter.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, os.NewSyscallError("seccomp", errno)
	}
	return int(r), nil
}

// next waits until there is a notification, and reports whether there is one. There is
// none once stop is closed or all processes with the filter have exited.
func next(fd int, stop <-chan struct{}) bool {
	for {
		select {
		case <-stop:
			return false
		default:
		}
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, 100)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return false
		case n == 1 && ready[0].Revents&unix.POLLIN != 0:
			return true
		case n == 1:
			return false
		}
	}
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
