package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// accessLine is a line of the access log.
type accessLine struct {
	Msg      string
	Endpoint string
	UID      *uint32
	Agent    string `json:"user_agent"`
	Status   int
	Count    int
}

func (l accessLine) String() string {
	uid := "unknown"
	if l.UID != nil {
		uid = fmt.Sprint(*l.UID)
	}
	return fmt.Sprintf("%d %s, %s by user %s with %q: %d", l.Count, l.Msg, l.Endpoint, uid, l.Agent, l.Status)
}

// lines returns what the log has, and empties it.
func (j *journal) lines(t *testing.T) (lines []accessLine) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for decoder := json.NewDecoder(&j.buf); decoder.More(); {
		var line accessLine
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	j.buf.Reset()
	return lines
}

// check fails the test unless the lines of the log since the last time are these.
func (j *journal) check(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for _, line := range j.lines(t) {
		got = append(got, line.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: the log has\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// visit is a request to an endpoint.
type visit struct {
	path, agent string
	uid         uint32
	err         error
}

type visitKey struct{}

// visited returns a function that sends a request to a container credentials endpoint that
// only user 1000 may ask, and which has an access log.
func visited(log *AccessLog, journal *journal) func(visit) {
	clients := Clients{Log: log, Allowed: []uint32{1000}, UID: func(ctx context.Context) (uint32, error) {
		v := ctx.Value(visitKey{}).(visit)
		return v.uid, v.err
	}}
	e := NewContainerEndpoint(ContainerGuard{Path: testPath}, clients, ContainerCredentials(testRole), always(sample()), journal.logger(), NewMetrics(prometheus.NewRegistry()))
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911}
	return func(v visit) {
		r := httptest.NewRequest(http.MethodGet, v.path, nil)
		r.Host = "127.0.0.1"
		r.Header.Set("User-Agent", v.agent)
		r.Header.Set("Authorization", "canary-authorization")
		e.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(context.WithValue(r.Context(), visitKey{}, v), http.LocalAddrContextKey, addr)))
	}
}

// Requests are in the log a minute after the first, with their number, and the last ones
// when the process ends.
func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out journal
		log := NewAccessLog(out.logger())
		send := visited(log, &out)
		for range 3 {
			send(visit{testPath, "aws-sdk-go/1.8.13", 1000, nil})
			time.Sleep(15 * time.Second)
		}
		send(visit{testPath, "curl", 1000, nil})
		send(visit{"/canary-path?canary-query", "curl", 1000, nil})
		send(visit{testPath, "curl", 1001, nil})
		send(visit{testPath, "curl", 0, errors.New("gone")})
		time.Sleep(15*time.Second - time.Nanosecond)
		synctest.Wait()
		out.check(t, "within the minute")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		out.check(t, "after a minute",
			`3 requests, 127.0.0.1:9911 by user 1000 with "aws-sdk-go/1.8.13": 200`,
			`1 requests, 127.0.0.1:9911 by user 1000 with "curl": 200`,
			`1 requests, 127.0.0.1:9911 by user 1000 with "curl": 404`,
			`1 requests, 127.0.0.1:9911 by user 1001 with "curl": 403`,
			`1 requests, 127.0.0.1:9911 by user unknown with "curl": 403`)
		time.Sleep(time.Hour)
		synctest.Wait()
		out.check(t, "an hour without requests")
		send(visit{testPath, "", 1000, nil})
		time.Sleep(time.Minute)
		synctest.Wait()
		out.check(t, "after a later minute", `1 requests, 127.0.0.1:9911 by user 1000 with "": 200`)
		send(visit{testPath, "last", 1000, nil})
		log.Flush()
		out.check(t, "at the end", `1 requests, 127.0.0.1:9911 by user 1000 with "last": 200`)
	})
}

// Whatever clients send, a minute has 64 different lines and one for the rest.
func TestAccessLogIsBounded(t *testing.T) {
	t.Parallel()
	var out journal
	log := NewAccessLog(out.logger())
	send := visited(log, &out)
	for i := range 1000 {
		send(visit{testPath, fmt.Sprintf("agent %03d", i), 1000, nil})
		send(visit{testPath, "agent 000", 1000, nil})
	}
	log.Flush()
	lines := out.lines(t)
	if len(lines) != 65 {
		t.Fatalf("%d lines, want 65", len(lines))
	}
	if first := lines[0]; first.Agent != "agent 000" || first.Count != 1001 {
		t.Errorf("the first line is: %s", first)
	}
	if last := lines[64]; last.Msg != "other requests" || last.Count != 936 {
		t.Errorf("the last line is: %s", last)
	}
}

// P6: no line has anything of a request that may be a secret. A User-Agent is cut, and
// cannot pretend to be another line.
func TestAccessLogHasNoSecret(t *testing.T) {
	t.Parallel()
	var out journal
	log := NewAccessLog(out.logger())
	send := visited(log, &out)
	for _, path := range []string{testPath, testPath + "?canary", "/canary", testPath + "/canary"} {
		for _, uid := range []uint32{1000, 1001} {
			send(visit{path, strings.Repeat("a", 99) + "\x1b\xff canary", uid, nil})
			send(visit{path, "\"}\n{\"msg\":\"\u2028forged", uid, nil})
		}
	}
	log.Flush()
	text := out.String()
	for _, secret := range []string{"canary", sample().AccessKeyID, sample().SecretAccessKey, sample().SessionToken} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q:\n%s", secret, text)
		}
	}
	for _, line := range out.lines(t) {
		if len(line.Agent) > longestAgent || strings.ContainsFunc(line.Agent, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("User-Agent %q", line.Agent)
		}
	}
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d lines, want 6:\n%s", n, text)
	}
}
