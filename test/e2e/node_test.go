//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nodeRole is the response of the node's own metadata service.
const nodeRole = "the-role-of-the-node"

// needNode skips a test that must run as root on the cluster's only node.
func needNode(t *testing.T) {
	t.Helper()
	var nodes struct {
		Items []struct {
			Status struct {
				Addresses []struct{ Type, Address string }
			}
		}
	}
	if err := kubectlJSON(t.Context(), &nodes, "get", "nodes", "-o", "json"); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) == 1 && os.Geteuid() == 0 {
		for _, a := range nodes.Items[0].Status.Addresses {
			if a.Type == "InternalIP" && a.Address == shared.address {
				return
			}
		}
	}
	t.Skip("NOT RUN: this test must run as user 0 on the cluster's only node")
}

// ip runs the program ip.
func ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ipAtEnd runs the program ip when the test ends.
func ipAtEnd(t testing.TB, args ...string) {
	t.Cleanup(func() {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// nodeMetadata is a stand-in for the metadata service of the node.
type nodeMetadata struct {
	mu    sync.Mutex
	count map[string]int // requests by client address; guarded by mu
}

func (m *nodeMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	m.mu.Lock()
	m.count[host]++
	m.mu.Unlock()
	io.WriteString(w, nodeRole)
}

func (m *nodeMetadata) requestsByAddress() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.count)
}

// serveNodeMetadata gives the node a metadata service. It skips the test if the node
// already has one.
func serveNodeMetadata(t *testing.T) *nodeMetadata {
	t.Helper()
	address := net.JoinHostPort(metadataAddress, "80")
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		t.Skip("NOT RUN: the node has a metadata service of its own")
	}
	// The lifetime removes the address even if this process is killed.
	ip(t, "address", "add", metadataAddress+"/32", "dev", "lo", "valid_lft", "300", "preferred_lft", "300")
	ipAtEnd(t, "address", "del", metadataAddress+"/32", "dev", "lo")
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	m := &nodeMetadata{count: map[string]int{}}
	server := &http.Server{Handler: m, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 4096}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return m
}

// ordinaryPod creates a pod without the sidecar.
func (n *namespace) ordinaryPod(name string) *pod {
	n.Helper()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec: {containers: [{name: app, image: %[2]q, args: [-every, 1h, %[3]q], env: [{name: AWS_REGION, value: eu-west-1}], securityContext: %[4]s}]}`,
		name, shared.appImage, n.url, restricted))
	return n.awaitRunning("app=" + name)
}

// reachNode tries every way a container without capabilities has to reach the node's
// metadata service from a pod, and returns the results by way.
func (n *namespace) reachNode(p *pod) map[string]string {
	n.Helper()
	results := map[string]string{}
	for _, way := range [][]string{{}, {"-from", p.Status.PodIP}, {"-interface", "eth0"}, {"-interface", "eth0", "-from", p.Status.PodIP}} {
		command := append(append([]string{"/probe"}, way...), "http://"+metadataAddress+"/latest/meta-data/iam/security-credentials/")
		out, err := n.exec(p.Metadata.Name, command...)
		if err != nil {
			out = refusal(err)
		}
		results["probe "+strings.Join(way, " ")] = strings.Join(strings.Fields(out), " ")
	}
	return results
}

// checkReachesNode checks that an ordinary pod reaches the node's metadata service in every
// way. Otherwise the tests that other pods do not reach it would prove nothing.
func (n *namespace) checkReachesNode(p *pod, when string) {
	n.Helper()
	for way, got := range n.reachNode(p) {
		if got != "200 "+nodeRole {
			n.Errorf("%s: from an ordinary pod: %s: %s", when, way, got)
		}
	}
}

// A pod with the instance metadata endpoint cannot reach the node's metadata service in any
// way; every other pod still can. Not parallel: it changes the node.
func TestNodeMetadataIsUnreachable(t *testing.T) {
	needNode(t)
	metadata := serveNodeMetadata(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	other := n.ordinaryPod("other")
	n.checkReachesNode(other, "before the pod with endpoints exists")
	if requests := metadata.requestsByAddress(); requests[other.Status.PodIP] < 4 {
		t.Fatalf("requests to the node by address: %v, want 4 or more from %s", requests, other.Status.PodIP)
	}

	n.apply(n.serviceAccount() + n.deployment(withEndpoints))
	p := n.awaitRunning("app=example")
	n.checkEndpoints(p.Metadata.Name)
	for way, got := range n.reachNode(p) {
		if strings.Contains(got, nodeRole) {
			t.Errorf("from the pod with endpoints: %s: %s", way, got)
		}
		t.Logf("from the pod with endpoints: %s: %s", way, got)
	}
	n.checkReachesNode(other, "while the pod with endpoints runs")
	n.kubectl("delete", "deployment", "example", "--cascade=foreground")
	n.checkReachesNode(other, "after the pod with endpoints is deleted")
	for address, times := range metadata.requestsByAddress() {
		if address != other.Status.PodIP {
			t.Errorf("%d requests to the node from %s; the pod with endpoints has address %s", times, address, p.Status.PodIP)
		}
	}
	t.Logf("proved: only the ordinary pod has reached the node: %v", metadata.requestsByAddress())
}

// The node and other pods get no answer when they send packets for the endpoints' addresses
// to the pod. Not parallel: it changes the node's routes.
func TestEndpointsOnlyForThePod(t *testing.T) {
	needNode(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	other := n.ordinaryPod("other")
	n.apply(n.serviceAccount() + n.deployment(withEndpoints))
	p := n.awaitRunning("app=example")
	n.checkEndpoints(p.Metadata.Name)
	for _, endpoint := range []struct{ address, path string }{
		{ecsAddress, "/v1/credentials"},
		{metadataAddress, "/latest/meta-data/iam/security-credentials/" + n.name},
	} {
		url := "http://" + endpoint.address + endpoint.path
		if got, err := n.exec(p.Metadata.Name, "/probe", url); err != nil || !strings.Contains(got, "AccessKeyId") {
			t.Fatalf("from the pod itself: %s, %v", got, err)
		}
		ip(t, "route", "add", endpoint.address+"/32", "via", p.Status.PodIP)
		ipAtEnd(t, "route", "del", endpoint.address+"/32", "via", p.Status.PodIP)
		checkClosed(t, endpoint.address, endpoint.path)
		got, err := n.exec(other.Metadata.Name, "/probe", url)
		// A timeout would have another cause.
		message := refusal(err)
		if err == nil || !regexp.MustCompile("connection refused|EOF|connection reset by peer|server closed idle connection").MatchString(message) {
			t.Errorf("%s from another pod: %q %s, want it refused or closed", url, got, message)
			continue
		}
		t.Logf("proved: %s from another pod: %s", url, strings.Join(strings.Fields(message), " "))
	}
}

// checkClosed checks that a connection from the node is refused or, before Linux 5.7,
// accepted and closed without an answer. Either shows that the packets get there.
func checkClosed(t *testing.T, address, path string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, "80"), 3*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		t.Logf("proved: http://%s%s from the node: %v", address, path, err)
		return
	}
	if err != nil {
		t.Fatalf("the packets do not reach the pod, so this proves nothing: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address) // fails if the connection is already closed
	got, err := io.ReadAll(conn)
	if len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("http://%s%s from the node: %q, %v", address, path, got, err)
		return
	}
	t.Logf("proved: http://%s%s from the node: closed without an answer (%v)", address, path, err)
}

// In a pod with the node's network, which no guard refuses here, link-local itself refuses
// to run. Not parallel: if it did run, it would change the node.
func TestLinkLocalRefusesANode(t *testing.T) {
	needNode(t)
	n := newNamespace(t, privileged)
	state := func() string {
		return ip(t, "-brief", "address", "show", "dev", "lo") + ip(t, "rule") + ip(t, "-6", "rule")
	}
	before := state()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {app: example}}
spec: {hostNetwork: true, restartPolicy: Never, containers: [{name: app, image: %q, args: [link-local], securityContext: %s}]}`, shared.image, netAdmin))
	p := n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if p.container("app").State.Terminated == nil {
			return fmt.Errorf("link-local has not exited: %+v", p.container("app"))
		}
		return nil
	})
	end := p.container("app").State.Terminated
	if end.ExitCode != 1 || !strings.Contains(end.Message, "this is the network of a node, not of a pod") || !strings.Contains(end.Message, "remove hostNetwork") {
		t.Errorf("link-local has exited with %+v", end)
	}
	if after := state(); after != before {
		t.Errorf("the node's addresses and rules are\n%s\nbefore they were\n%s", after, before)
		for _, address := range []string{ecsAddress, metadataAddress} {
			if !strings.Contains(before, address) {
				ip(t, "address", "del", address+"/32", "dev", "lo")
			}
		}
		if strings.Contains(after, "fd00:ec2::254") && !strings.Contains(before, "fd00:ec2::254") {
			ip(t, "-6", "rule", "del", "to", "fd00:ec2::254")
		}
	}
	t.Logf("proved: exit status %d: %s", end.ExitCode, end.Message)
}
