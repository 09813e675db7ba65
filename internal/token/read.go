package token

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// readTimeout bounds a read that the kernel makes wait, as that of /proc/kmsg does. It is
// well within the second in which the process must end.
const readTimeout = 100 * time.Millisecond

// ReadFile returns the content of a regular file that has at most that many bytes. It
// never waits for another process to write, and reads no more than it returns: the file
// may be anything, and may have been exchanged since it was last looked at. Its errors say
// what is wrong with the file, and do not name it.
func ReadFile(name string, most int) ([]byte, error) {
	raw, err := readFile(name, most)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("makes its readers wait, as no ordinary file does")
	}
	return raw, err
}

func readFile(name string, most int) ([]byte, error) {
	// Only to open a device can have an effect.
	if err := checkRegular(os.Stat(name)); err != nil {
		return nil, err
	}
	// Without O_NONBLOCK, opening a pipe waits for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkRegular(f.Stat()); err != nil {
		return nil, err
	}
	// Fails for a file that never makes a reader wait, as nearly all do.
	_ = f.SetReadDeadline(time.Now().Add(readTimeout))
	raw, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > most {
		return nil, fmt.Errorf("has more than %d bytes", most)
	}
	return raw, nil
}

func checkRegular(info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		return errNotRegular
	}
	return err
}

var errNotRegular = errors.New("is not a regular file")
