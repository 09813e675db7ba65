package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	sidecarUID = 9911
	appUID     = 1000
	secondUID  = 1002
	strangeUID = 1001
	meshUID    = 1337 // of Istio's proxy

	allowsUsers = "SIDECAR_ALLOWED_UIDS=1000,1002"
)

// users runs processes as other users.
type users struct{ binary string }

// newUsers copies the test binary to where every user can execute it. It skips the test
// if it cannot run processes as other users.
func newUsers(t *testing.T) users {
	t.Helper()
	if uid := os.Getuid(); uid != 0 {
		t.Skipf("user id %d cannot start processes of others; root can", uid)
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	u := users{filepath.Join(open(t, t.TempDir()), "binary")}
	// Otherwise a process that another test starts meanwhile may have the file open for
	// writing, until it executes its own, and this one could not be executed.
	syscall.ForkLock.RLock()
	err = os.WriteFile(u.binary, binary, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// open makes a temporary directory of the test one that every user may enter.
func open(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// as makes cmd, a command of this binary, run as a user.
func (u users) as(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.Path, cmd.Args[0] = u.binary, u.binary
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	return cmd
}

// start starts a sidecar as its user in the image, and waits until it has credentials.
func (u users) start(t *testing.T, w *world, settings ...string) *process {
	t.Helper()
	open(t, w.volume.Path(""))
	w.publish(t)
	p := launch(t, u.as(sidecarUID, command(t, w.environment(settings...))))
	p.waitUntilItListens(t)
	p.waitForLog(t, "credentials refreshed")
	return p
}

// ask has a process of a user send so many requests to a URL, with a new connection for
// each, and returns the statuses, and the answer to the last one.
func (u users) ask(t *testing.T, uid uint32, times int, url string) (statuses map[int]int, last string) {
	t.Helper()
	cmd := u.as(uid, exec.CommandContext(t.Context(), os.Args[0]))
	cmd.Env = []string{"BE_A_CLIENT=" + strconv.Itoa(times) + " " + url}
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("user %d: %v", uid, err)
	}
	statuses = make(map[int]int)
	for line := range strings.Lines(string(out)) {
		status, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(status)
		statuses[n]++
		last = body
	}
	return statuses, last
}

// addresses returns where p listens, by the names in its log.
func (p *process) addresses(t *testing.T) map[string]string {
	t.Helper()
	for line := range strings.Lines(p.log()) {
		var started map[string]any
		if json.Unmarshal([]byte(line), &started) != nil || started["msg"] != "sidecar started" {
			continue
		}
		addresses := make(map[string]string)
		for name, value := range started {
			if address, ok := value.(string); ok && strings.HasSuffix(name, "listen") {
				addresses[name] = address
			}
		}
		return addresses
	}
	t.Fatal("it does not listen")
	return nil
}

// P6: of the users in a pod only those that are allowed get credentials, at every endpoint
// and over IPv4 and IPv6. The sidecar's own commands still work, and the admin port is for
// everybody.
func TestAllowedUIDs(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	w := newWorld(t)
	p := u.start(t, w, allowsUsers, "SIDECAR_ECS_LISTEN=127.0.0.1:0", "SIDECAR_IMDS_LISTEN=127.0.0.1:0")
	key := w.sts.Credentials()[0].AccessKeyID
	addresses := p.addresses(t)
	_, port, _ := strings.Cut(addresses["listen"], ":")
	urls := []string{
		"http://" + addresses["listen"] + "/v1/credentials",
		"http://" + addresses["ecs_listen"] + "/v1/credentials",
		"http://" + addresses["imds_listen"] + "/latest/meta-data/iam/security-credentials/app",
	}
	if !strings.Contains(p.log(), "no IPv6 loopback") {
		urls = append(urls, "http://[::1]:"+port+"/v1/credentials")
	}
	for _, url := range urls {
		for _, uid := range []uint32{appUID, secondUID, sidecarUID} {
			if statuses, answer := u.ask(t, uid, 1, url); statuses[200] != 1 || !strings.Contains(answer, key) {
				t.Errorf("%s as user %d: got %v %s", url, uid, statuses, answer)
			}
		}
		for _, uid := range []uint32{strangeUID, meshUID, 0} {
			if statuses, answer := u.ask(t, uid, 1, url); statuses[403] != 1 || !strings.Contains(answer, "user id "+strconv.Itoa(int(uid))+" may not") {
				t.Errorf("%s as user %d: got %v %s", url, uid, statuses, answer)
			}
		}
	}
	if statuses, _ := u.ask(t, strangeUID, 1, "http://"+p.admin+"/readyz"); statuses[200] != 1 {
		t.Errorf("readyz: got %v", statuses)
	}
	for uid, want := range map[uint32]int{sidecarUID: 0, strangeUID: 1} {
		cmd := u.as(uid, command(t, append(p.environment, "SIDECAR_LISTEN="+p.endpoint), "ready"))
		if status, output := outcome(cmd); status != want {
			t.Errorf("ready as user %d: exit status %d: %s", uid, status, output)
		}
	}
	if strings.Contains(p.log(), "is open to every container") {
		t.Error("the log says that the instance metadata endpoint is open to every container")
	}
}

// P6: thousands of connections of users that are allowed and users that are not, from the
// same ports, some of which are closed before the sidecar can ask whose they are: no
// stranger ever gets an answer, and everybody else does.
func TestAllowedUIDsUnderLoad(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	p := u.start(t, newWorld(t), allowsUsers)
	const times = 1500
	want := map[uint32]int{appUID: 200, secondUID: 200, strangeUID: 403, meshUID: 403}
	var all sync.WaitGroup
	for uid, status := range want {
		all.Go(func() {
			statuses, last := u.ask(t, uid, times, "http://"+p.endpoint+"/v1/credentials")
			if statuses[status] != times*4/5 || len(statuses) != 1 {
				t.Errorf("user %d: got %v, at last %s", uid, statuses, last)
			}
		})
	}
	all.Wait()
}

// P6: the access log has the user and the User-Agent, also of the last requests before the
// end, and no secret.
func TestAccessLogOfTheProcess(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	p := u.start(t, newWorld(t), "SIDECAR_ACCESS_LOG=true", "SIDECAR_PATH=/v1/canary-path")
	u.ask(t, appUID, 3, "http://"+p.endpoint+"/v1/canary-path")
	u.ask(t, strangeUID, 1, "http://"+p.endpoint+"/canary?canary")
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{
		`"msg":"requests","endpoint":"` + p.endpoint + `","uid":1000,"user_agent":"Go-http-client/1.1","status":200,"count":3`,
		`"msg":"requests","endpoint":"` + p.endpoint + `","uid":1001,"user_agent":"Go-http-client/1.1","status":404,"count":1`,
	} {
		if !strings.Contains(p.log(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(p.log(), "canary") {
		t.Error("the log has a secret")
	}
}
