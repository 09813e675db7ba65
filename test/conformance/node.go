package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// nodeAddresses are those that lead from the pod to the node, unless they are added to the
// pod: the metadata service's, and that of the EKS Pod Identity agent.
func nodeAddresses() []string { return []string{imdsAddress, agentAddress} }

// connectNode returns a listener at port 80 of each of the node's addresses. The node has
// its own network namespace, connected to that of this process by a veth pair.
func connectNode() ([]net.Listener, error) {
	pod, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer pod.Close()
	var listeners []net.Listener
	done := make(chan error)
	go func() {
		// Never unlocked: the thread belongs to the node and exits with this
		// goroutine. Its child processes and sockets are in the node's network too.
		runtime.LockOSThread()
		var err error
		listeners, err = listenOnNode(pod)
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, err
	}
	// There is no other route, and IPv6 exists only on the loopback interface:
	// a connection to any other address fails at once.
	commands := []string{"link set eth0 addrgenmode none", "addr add 10.0.0.2/24 dev eth0", "link set eth0 up"}
	for _, address := range nodeAddresses() {
		commands = append(commands, "route add "+address+"/32 dev eth0")
	}
	return listeners, ip(nil, commands...)
}

func listenOnNode(pod *os.File) (listeners []net.Listener, err error) {
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("creating the node's network: %w", err)
	}
	err = ip(pod, "link set lo up", "link add pod type veth peer name eth0 netns /proc/self/fd/3",
		"addr add 10.0.0.1/24 dev pod", "link set pod up")
	if err != nil {
		return nil, err
	}
	for _, address := range nodeAddresses() {
		if err := ip(nil, "addr add "+address+"/32 dev pod"); err != nil {
			return nil, err
		}
		ln, err := net.Listen("tcp", address+":80")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// ip runs ip(8) with each command. A non-nil file becomes file descriptor 3.
func ip(file *os.File, commands ...string) error {
	for _, words := range commands {
		cmd := exec.Command("ip", strings.Fields(words)...)
		if file != nil {
			cmd.ExtraFiles = []*os.File{file}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", words, err, out)
		}
	}
	return nil
}

// nodeMetadata is the EC2 metadata service, versions 1 and 2, with the credentials of
// the node's role. A pod should never reach it.
func nodeMetadata(w http.ResponseWriter, r *http.Request) {
	const list = "/latest/meta-data/iam/security-credentials/"
	now := time.Now().UTC()
	switch strings.ReplaceAll(r.URL.Path, "//", "/") {
	case "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		io.WriteString(w, "token")
	case list, strings.TrimSuffix(list, "/"):
		io.WriteString(w, "node")
	case list + "node":
		fmt.Fprintf(w, `{
  "Code" : "Success",
  "LastUpdated" : %q,
  "Type" : "AWS-HMAC",
  "AccessKeyId" : %q,
  "SecretAccessKey" : "node",
  "Token" : %q,
  "Expiration" : %q
}`,
			now.Format(time.RFC3339), nodeKey, nodeToken, now.Add(6*time.Hour).Format(time.RFC3339))
	case "/latest/meta-data/placement/availability-zone", "/latest/meta-data/placement/availability-zone/":
		io.WriteString(w, region+"a")
	default:
		http.NotFound(w, r)
	}
}
