package linklocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// refuseNode returns an error if this network namespace is a node's, as in a pod with
// hostNetwork. A node that is itself a container has a namespace of its own; there the
// kubelet gives it away.
func refuseNode(ctx context.Context) error {
	var self syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/net", &self); err != nil {
		return fmt.Errorf("checking whether this network is a node's: %w", err)
	}
	const initial = 0xeffffff9 // NET_NS_INIT_INO of linux/nsfs.h, since Linux 6.18
	if self.Ino == initial {
		return nodeError("it is the initial network namespace")
	}
	// Registered for the initial namespace alone (net/core/sysctl_net_core.c).
	const setting = "/proc/sys/net/core/netdev_max_backlog"
	if _, err := os.Stat(setting); err == nil {
		return nodeError(setting + " exists")
	}
	// Its healthz and its API: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
	for _, address := range []string{"127.0.0.1:10248", "127.0.0.1:10250"} {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp4", address)
		switch {
		case err == nil:
			conn.Close()
			return nodeError("something listens on " + address + ", as a kubelet does")
		case !errors.Is(err, syscall.ECONNREFUSED): // it may be there, and busy
			return fmt.Errorf("checking for a kubelet, which only a node's network has: %w: check that the loopback interface is up", err)
		}
	}
	return nil
}

func nodeError(evidence string) error {
	return fmt.Errorf("this is the network of a node, not of a pod (%s): link-local would take the metadata address away from the node and everything on it: remove hostNetwork from the pod", evidence)
}
