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

// onNode is what the node's own metadata service answers here.
const onNode = "the-role-of-the-node"

// needNode skips a test that needs to be on the cluster's node and as mighty as that.
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
	t.Skip("NOT RUN: this is not, as user 0, the cluster's only node")
}

// ip runs the program of that name.
func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// afterwards runs the program ip when the test has ended.
func afterwards(t *testing.T, args ...string) {
	t.Cleanup(func() {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// nodeMetadata is a stand-in for the metadata service of the node.
type nodeMetadata struct {
	mu    sync.Mutex
	asked map[string]int // guarded by mu; by the address of who asked
}

func (m *nodeMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	m.mu.Lock()
	m.asked[host]++
	m.mu.Unlock()
	io.WriteString(w, onNode)
}

func (m *nodeMetadata) askers() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.asked)
}

// serveNodeMetadata gives the node a metadata service, unless it has one: that stays.
func serveNodeMetadata(t *testing.T) *nodeMetadata {
	t.Helper()
	address := net.JoinHostPort(metadataAddress, "80")
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		t.Skip("NOT RUN: the node has a metadata service of its own")
	}
	// With a lifetime: it goes even if this process is killed.
	ip(t, "address", "add", metadataAddress+"/32", "dev", "lo", "valid_lft", "300", "preferred_lft", "300")
	afterwards(t, "address", "del", metadataAddress+"/32", "dev", "lo")
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	m := &nodeMetadata{asked: map[string]int{}}
	server := &http.Server{Handler: m, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 4096}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return m
}

// podToAskFrom makes an ordinary pod.
func (n *namespace) podToAskFrom(name string) *pod {
	n.Helper()
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec: {containers: [{name: app, image: %[2]q, args: [-every, 1h, %[3]q], env: [{name: AWS_REGION, value: eu-west-1}], securityContext: %[4]s}]}`,
		name, shared.appImage, n.url, restricted))
	return n.awaitRunning("app=" + name)
}

// reachNode tries to reach the node's metadata service from a pod, in every way that a
// container without capabilities has, and returns what is said, by the way.
func (n *namespace) reachNode(p *pod) map[string]string {
	n.Helper()
	answers := map[string]string{}
	for _, way := range [][]string{{}, {"-from", p.Status.PodIP}, {"-interface", "eth0"}, {"-interface", "eth0", "-from", p.Status.PodIP}} {
		command := append(append([]string{"/probe"}, way...), "http://"+metadataAddress+"/latest/meta-data/iam/security-credentials/")
		out, err := n.ask(p.Metadata.Name, command...)
		if err != nil {
			out = refusal(err)
		}
		answers["probe "+strings.Join(way, " ")] = strings.Join(strings.Fields(out), " ")
	}
	return answers
}

// checkReachesNode checks that an ordinary pod gets to the node in every way: if it did
// not, the tests that others do not would prove nothing.
func (n *namespace) checkReachesNode(p *pod, when string) {
	n.Helper()
	for way, got := range n.reachNode(p) {
		if got != "200 "+onNode {
			n.Errorf("%s, from an ordinary pod: %s: %s", when, way, got)
		}
	}
}

// A pod with the metadata door cannot reach the node's metadata service, however it
// asks; every other pod can, as before. Not parallel: it changes the node.
func TestNodeIsOutOfReach(t *testing.T) {
	needNode(t)
	metadata := serveNodeMetadata(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	other := n.podToAskFrom("other")
	n.checkReachesNode(other, "before")
	if asked := metadata.askers(); asked[other.Status.PodIP] < 4 {
		t.Fatalf("the node has been asked by %v, not by %s", asked, other.Status.PodIP)
	}

	n.apply(n.serviceAccount() + n.deployment(withDoors))
	p := n.awaitRunning("app=example")
	n.checkDoors(p.Metadata.Name)
	for way, got := range n.reachNode(p) {
		if strings.Contains(got, onNode) {
			t.Errorf("from the pod with doors: %s: %s", way, got)
		}
		t.Logf("from the pod with doors: %s: %s", way, got)
	}
	n.checkReachesNode(other, "beside the pod with doors")
	n.kubectl("delete", "deployment", "example", "--cascade=foreground")
	n.checkReachesNode(other, "after the pod with doors")
	for address, times := range metadata.askers() {
		if address != other.Status.PodIP {
			t.Errorf("the node has been asked %d times by %s; the pod with doors has %s", times, address, p.Status.PodIP)
		}
	}
	t.Logf("proved: the node has been asked by an ordinary pod alone: %v", metadata.askers())
}

// Whoever can send packets for the addresses of the doors to a pod gets no answer: not
// the node, not another pod. Not parallel: it changes the routes of the node.
func TestDoorsAreForThePod(t *testing.T) {
	needNode(t)
	n := newNamespace(t, "inject", "guard", privileged)
	n.trust()
	other := n.podToAskFrom("other")
	n.apply(n.serviceAccount() + n.deployment(withDoors))
	p := n.awaitRunning("app=example")
	n.checkDoors(p.Metadata.Name)
	for _, door := range []struct{ address, path string }{
		{ecsAddress, "/v1/credentials"},
		{metadataAddress, "/latest/meta-data/iam/security-credentials/" + n.name},
	} {
		url := "http://" + door.address + door.path
		if got, err := n.ask(p.Metadata.Name, "/probe", url); err != nil || !strings.Contains(got, "AccessKeyId") {
			t.Fatalf("from within: %s, %v", got, err)
		}
		ip(t, "route", "add", door.address+"/32", "via", p.Status.PodIP)
		afterwards(t, "route", "del", door.address+"/32", "via", p.Status.PodIP)
		checkClosed(t, door.address, door.path)
		got, err := n.ask(other.Metadata.Name, "/probe", url)
		// A time-out would be for another reason.
		said := refusal(err)
		if err == nil || !regexp.MustCompile("connection refused|EOF|connection reset by peer|server closed idle connection").MatchString(said) {
			t.Errorf("%s from another pod: %q %s, want that it is refused or closed", url, got, said)
			continue
		}
		t.Logf("proved: %s from another pod: %s", url, strings.Join(strings.Fields(said), " "))
	}
}

// checkClosed checks that a connection from the node is refused, or, before Linux 5.7,
// accepted and closed without a word. Either shows that the packets get there.
func checkClosed(t *testing.T, address, path string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, "80"), 3*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		t.Logf("proved: http://%s%s from the node: %v", address, path, err)
		return
	}
	if err != nil {
		t.Fatalf("the test tries nothing: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address) // fails if it is closed already
	got, err := io.ReadAll(conn)
	if len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("http://%s%s from the node: %q, %v", address, path, got, err)
		return
	}
	t.Logf("proved: http://%s%s from the node: closed without a word (%v)", address, path, err)
}

// Where the pod has the node's network, and no guard keeps it out, link-local refuses by
// itself. Not parallel: if it did not, it would change the node.
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
			return fmt.Errorf("it has not ended: %+v", p.container("app"))
		}
		return nil
	})
	end := p.container("app").State.Terminated
	if end.ExitCode != 1 || !strings.Contains(end.Message, "this is the network of a node, not of a pod") || !strings.Contains(end.Message, "remove hostNetwork") {
		t.Errorf("link-local has ended with %+v", end)
	}
	if after := state(); after != before {
		t.Errorf("the node has\n%s\nbefore\n%s", after, before)
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
