package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ecsURL      = "http://169.254.170.2/v1/credentials"
	metadataURL = "http://169.254.169.254/latest/meta-data/iam/security-credentials/app"
)

// outcome runs a command and returns how it ends.
func outcome(cmd *exec.Cmd) (status int, output string) {
	out, _ := cmd.CombinedOutput() // the status says the same
	return cmd.ProcessState.ExitCode(), string(out)
}

// mustLinkLocal runs sidecar link-local.
func mustLinkLocal(t *testing.T, args ...string) {
	t.Helper()
	if status, output := outcome(command(t, nil, append([]string{"link-local"}, args...)...)); status != 0 {
		t.Fatalf("link-local exits with %d: %s", status, output)
	}
}

// unprivileged has cmd run as a process without any privilege over the network.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, ContainerID: 9911, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, ContainerID: 9911, Size: 1}},
	}
	return cmd
}

// P6: with link-local the role of the node is out of reach, however one asks.
func TestTheNodeIsOutOfReach(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	newNode(t).serveMetadata(t)
	const v4, v6 = "http://" + metadataAddress, "http://[" + metadataIPv6 + "]"
	ways := []struct {
		name   string
		client *http.Client
		url    string
	}{
		{"plainly", client("", ""), v4},
		{"from the pod's address", client("", podAddress), v4},
		{"from eth0", client("eth0", ""), v4},
		{"from eth0 and the pod's address", client("eth0", podAddress), v4},
		{"over IPv6", client("", ""), v6},
		{"over IPv6 from the pod's address", client("", podIPv6), v6},
		{"over IPv6 from eth0", client("eth0", ""), v6},
		{"over IPv6 from eth0 and the pod's address", client("eth0", podIPv6), v6},
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); got != "the node's" {
			t.Fatalf("%s, without link-local: got %s", way.name, got)
		}
	}
	for range 2 { // a container may be started again
		mustLinkLocal(t)
	}
	for _, way := range ways {
		if got := fetch(way.client, way.url); strings.Contains(got, "the node's") {
			t.Errorf("%s: got %s", way.name, got)
		}
	}
}

// P6: nobody outside the pod gets credentials at the addresses of these doors, which
// can be reached through the pod's other interfaces.
func TestDoorsAreForThisPodOnly(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	n := newNode(t)
	mustLinkLocal(t)
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment("SIDECAR_ECS_LISTEN=169.254.170.2:80", "SIDECAR_IMDS_LISTEN=169.254.169.254:80"))
	p.waitForLog(t, "credentials refreshed")
	key := w.sts.Credentials()[0].AccessKeyID
	for _, url := range []string{ecsURL, metadataURL} {
		for _, source := range []string{"", podAddress} {
			if got := fetch(client("", source), url); !strings.Contains(got, key) {
				t.Errorf("%s from %q: got %s", url, source, got)
			}
		}
	}
	n.run(func() {
		removeAddress(t, "lo", metadataAddress+"/32")
		for _, url := range []string{ecsURL, metadataURL} {
			r, err := http.NewRequest(http.MethodGet, url, nil)
			must(t, err)
			addRoute(t, r.Host+"/32", podAddress)
			conn, err := net.DialTimeout("tcp", r.Host+":80", time.Second) // by this thread: a client would have others dial
			if err != nil {
				t.Errorf("the test tries nothing: %v", err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Second))
			r.Write(conn) // fails if it is closed already
			if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s from the node: got %q, %v", url, got, err)
			}
		}
	})
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestLinkLocalAddsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	mustLinkLocal(t, "169.254.170.2")
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	has := func(address string) bool {
		addrs, err := lo.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.String() == address })
	}
	if !has("169.254.170.2/32") || has("169.254.169.254/32") {
		t.Error("it has not just 169.254.170.2")
	}
	mustLinkLocal(t)
	if !has("169.254.170.2/32") || !has("169.254.169.254/32") {
		t.Error("it has not both addresses")
	}
}

// P7: what is missing is told, and what to do.
func TestDoorsSayWhatTheyLack(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	must(t, unix.Mount("proc", "/proc", "proc", 0, "")) // which unprivileged looks into
	status, output := outcome(unprivileged(command(t, nil, "link-local")))
	if status != 1 || !strings.Contains(output, "NET_ADMIN") {
		t.Errorf("link-local without NET_ADMIN exits with %d: %s", status, output)
	}
	environment := newWorld(t).environment("SIDECAR_ECS_LISTEN=169.254.170.2:80")
	if status, output = outcome(command(t, environment)); status != 1 || !strings.Contains(output, "link-local") {
		t.Errorf("without the address it exits with %d: %s", status, output)
	}
	mustLinkLocal(t)
	status, output = outcome(unprivileged(command(t, environment)))
	if status != 1 || !strings.Contains(output, "net.ipv4.ip_unprivileged_port_start") {
		t.Errorf("without the sysctl it exits with %d: %s", status, output)
	}
	write(t, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "80")
	launch(t, unprivileged(command(t, environment))).waitUntilItListens(t)
}

// A pod with hostNetwork has a node's network. Taking the metadata address away
// from a node would take its role from everything there.
func TestLinkLocalRefusesANode(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		sign, err := isNode(t.Context())
		// This may be a container, in which nothing tells.
		if _, missing := os.Stat("/proc/sys/net/core/netdev_max_backlog"); err != nil || missing == nil && sign == "" {
			t.Errorf("got %q, %v for the network of this machine", sign, err)
		}
		return
	}
	if sign, err := isNode(t.Context()); err != nil || sign != "" {
		t.Errorf("got %q, %v for a pod", sign, err)
	}
	// A node that is a container itself, with a kubelet.
	kubelet, err := net.Listen("tcp", "127.0.0.1:10250")
	if err != nil {
		t.Fatal(err)
	}
	defer kubelet.Close()
	status, output := outcome(command(t, nil, "link-local"))
	if status != 1 || !strings.Contains(output, "hostNetwork") {
		t.Errorf("exits with %d: %s", status, output)
	}
	if _, err := net.Listen("tcp", "169.254.169.254:0"); err == nil {
		t.Error("the node has the address")
	}
}
