package peer

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// P6: without a free file descriptor there is no answer, and none is needed from the
// second on.
func TestLookupWithoutFiles(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	server := open(t, "127.0.0.1:0")
	client := connect(t, socket(t, unix.AF_INET, 0), anyPort, server)
	var first, second Finder
	if _, err := second.Lookup(client, server); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, firstErr := first.Lookup(client, server)
	_, secondErr := second.Lookup(client, server)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(firstErr, syscall.EMFILE) || secondErr != nil {
		t.Errorf("at first got %v, want %v; later %v", firstErr, syscall.EMFILE, secondErr)
	}
	if _, err := first.Lookup(client, server); err != nil {
		t.Errorf("with files again: %v", err)
	}
}

// P6: a reply that is not to the latest request, or not from the kernel, is no answer, and
// the next look-up is not confused by it. Only with CAP_NET_ADMIN can a process send one.
func TestLookupAmongOtherReplies(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	server := open(t, "127.0.0.1:0")
	client := connect(t, socket(t, unix.AF_INET, 0), anyPort, server)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	tests := []struct {
		name, want string
		send       func(fd int, sequence uint32) error
	}{
		{"an earlier reply of the kernel", "to something else", func(fd int, sequence uint32) error {
			return unix.Sendto(fd, request(sequence-1, client, server), 0, kernel)
		}},
		{"another process", "not from the kernel", func(fd int, sequence uint32) error {
			to, err := unix.Getsockname(fd)
			if err != nil {
				return err
			}
			other, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
			if err != nil {
				return err
			}
			defer unix.Close(other)
			forged := reply(client, server, func(m []byte) { binary.NativeEndian.PutUint32(m[8:], sequence) })
			return unix.Sendto(other, forged, 0, to)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f Finder
			if _, err := f.Lookup(client, server); err != nil {
				t.Fatal(err)
			}
			if err := tt.send(f.kernel.fd, f.kernel.sequence+1); err != nil {
				t.Fatal(err)
			}
			if uid, err := f.Lookup(client, server); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got user %d, %v, want an error with %q", uid, err, tt.want)
			}
			if uid, err := f.Lookup(client, server); int(uid) != os.Geteuid() || err != nil {
				t.Errorf("afterwards: got user %d, %v", uid, err)
			}
		})
	}
}
