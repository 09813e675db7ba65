package harness

import (
	"errors"
	"os"
	"syscall"
)

// ReadOut reads what there is in a file whose readers wait for more, such as /proc/kmsg, so
// that the next one waits. It does not wait itself.
func ReadOut(name string) error {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer syscall.Close(fd)
	for buffer := make([]byte, 64<<10); err == nil; {
		_, err = syscall.Read(fd, buffer)
	}
	if errors.Is(err, syscall.EAGAIN) {
		return nil
	}
	return &os.PathError{Op: "read", Path: name, Err: err}
}
