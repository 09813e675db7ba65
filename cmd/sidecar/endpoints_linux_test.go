package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/internal/listen"
)

const (
	ecsURL      = "http://169.254.170.2/v1/credentials"
	metadataURL = "http://169.254.169.254/latest/meta-data/iam/security-credentials/app"
)

// unprivileged makes cmd run without any privilege over the network.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, ContainerID: 9911, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, ContainerID: 9911, Size: 1}},
	}
	return cmd
}

// P6: clients outside the pod get no credentials from any endpoint. The addresses of two
// can be reached through the pod's other interfaces, and so can 127.0.0.1 if the sysctl
// route_localnet is 1. A mesh's proxy in the pod that connects for other pods gets none
// either.
func TestEndpointsServeThisPodOnly(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	n := newNode(t)
	mustLinkLocal(t)
	allowRoutedLoopback(t)
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment("SIDECAR_LISTEN=127.0.0.1:9911", "SIDECAR_ECS_LISTEN=169.254.170.2:80", "SIDECAR_IMDS_LISTEN=169.254.169.254:80"))
	p.waitForLog(t, "credentials refreshed")
	key := w.sts.Credentials()[0].AccessKeyID
	const loopbackURL = "http://127.0.0.1:9911/v1/credentials"
	for _, url := range []string{loopbackURL, ecsURL, metadataURL} {
		for _, source := range []string{"", "127.0.0.1", podAddress} {
			if got := fetch(client("", source), url); !strings.Contains(got, key) {
				t.Errorf("%s from %q: got %s", url, source, got)
			}
		}
		for _, source := range []string{"127.0.0.6", "127.0.0.2"} {
			if got := fetch(client("", source), url); !strings.HasPrefix(got, "Get ") || strings.Contains(got, "Timeout") { // an error, and at once
				t.Errorf("%s from %q: got %s", url, source, got)
			}
		}
	}
	if got := fetch(client("", ""), "http://[::1]:9911/v1/credentials"); !strings.Contains(got, key) {
		t.Errorf("[::1]: got %s", got)
	}
	addresses := map[string]string{"127.0.0.1": "9911", "169.254.170.2": "80", metadataAddress: "80"}
	for address := range addresses {
		go acceptAll(listenOn(t, address+":81"))
		go acceptAll(listen.Local(listenOn(t, address+":82")))
	}
	n.run(func() {
		removeAddress(t, "lo", metadataAddress+"/32")
		allowRoutedLoopback(t)
		removeAddress(t, "lo", "127.0.0.1/8")
		for address, port := range addresses {
			addRoute(t, address+"/32", podAddress)
			if got, err := greeting(address + ":81"); got != "hello" {
				t.Errorf("%s is not reachable from the node, so this test proves nothing: got %q, %v", address, got, err)
			}
			if got, err := greeting(address + ":82"); got != "" || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("listen.Local on %s from the node: got %q, %v", address, got, err)
			}
			if got, err := greeting(address + ":" + port); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s from the node: got %q, %v, want connection refused", address, got, err)
			}
		}
	})
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// allowRoutedLoopback lets this network namespace send and take packets to 127.0.0.0/8
// over all interfaces.
func allowRoutedLoopback(t *testing.T) {
	t.Helper()
	// /proc/sys/net is the namespace's of the thread.
	write(t, "/proc/sys/net/ipv4/conf/all/route_localnet", "1")
}

// listenOn listens on an address until the test ends.
func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// acceptAll greets every connection of ln.
func acceptAll(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, "hello")
		conn.Close()
	}
}

// greeting connects to an address and returns what it receives. It stays on the calling
// thread, and so in its network namespace.
func greeting(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(dialTimeout))
	received, err := io.ReadAll(conn)
	return string(received), err
}

// P7: the message says what is missing, and what to do.
func TestEndpointsReportWhatIsMissing(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	must(t, unix.Mount("proc", "/proc", "proc", 0, "")) // unprivileged needs it
	status, output := outcome(unprivileged(command(t, nil, "link-local")))
	if status != 1 || !strings.Contains(output, "NET_ADMIN") {
		t.Errorf("link-local without NET_ADMIN: exit status %d: %s", status, output)
	}
	environment := newWorld(t).environment("SIDECAR_ECS_LISTEN=169.254.170.2:80")
	if status, output = outcome(command(t, environment)); status != 1 || !strings.Contains(output, "link-local") {
		t.Errorf("without the address: exit status %d: %s", status, output)
	}
	mustLinkLocal(t)
	status, output = outcome(unprivileged(command(t, environment)))
	if status != 1 || !strings.Contains(output, "net.ipv4.ip_unprivileged_port_start") {
		t.Errorf("without the sysctl: exit status %d: %s", status, output)
	}
	write(t, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "80")
	launch(t, unprivileged(command(t, environment))).waitUntilItListens(t)
}

// The settings take effect, and the log has the address and a warning.
func TestInstanceMetadataEndpointSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment("SIDECAR_IMDS_LISTEN=127.0.0.1:0", "SIDECAR_IMDS_V1=false", "SIDECAR_PATH=/v1/credentials/x"))
	var started struct {
		IMDS string `json:"imds_listen"`
	}
	line, _, _ := strings.Cut(p.log(), "\n")
	if err := json.Unmarshal([]byte(line), &started); err != nil || started.IMDS == "" {
		t.Fatalf("the first line of the log has no imds_listen: %s: %v", line, err)
	}
	p.waitForLog(t, "is open to every container of the pod")
	ask := func(method, path string, header ...string) (status int, body string) {
		r, err := http.NewRequest(method, "http://"+started.IMDS+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return do(t, r)
	}
	if status, body := ask(http.MethodGet, "/latest/meta-data/placement/region"); status != 401 {
		t.Errorf("without a session: got %d %s", status, body)
	}
	_, session := ask(http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "21600")
	if status, body := ask(http.MethodGet, "/latest/meta-data/placement/region", "X-aws-ec2-metadata-token", session); status != 200 || body != "eu-west-1" {
		t.Errorf("region: got %d %s", status, body)
	}
	if status, body := ask(http.MethodGet, "/latest/meta-data/iam/security-credentials/app", "X-aws-ec2-metadata-token", session); status != 200 || !strings.Contains(body, `"Code" : "Success"`) {
		t.Errorf("credentials: got %d %s", status, body)
	}
}
