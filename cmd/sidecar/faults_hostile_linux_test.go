package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"irsa-sidecar/internal/listen"
)

const (
	// hostileTime is how long the attack lasts: its memory peaks within two seconds. On a
	// busy machine it may take up to hostilePatience to have all its connections, because
	// it has a low priority.
	hostileTime     = 4 * time.Second
	hostilePatience = 60 * time.Second

	// The limit in the examples is 64 MiB.
	mostMemory       = 56 << 20
	mostAdminSockets = 12 << 20
)

// Whatever clients send without end or do not read, and more of them than there may be
// connections, the sidecar's memory stays below the limit in the examples, with that of
// its sockets, and all other clients are served: P1.
func TestFaultHostileClients(t *testing.T) {
	raiseFileLimit(t, 11_000)
	setup{
		alone:  true,
		enter:  inNamespaces,
		before: func(*fault) { must(t, unix.Mount("proc", "/proc", "proc", 0, "")) },
		launch: func(t *testing.T, cmd *exec.Cmd) *process {
			cmd.Path = buildSidecar(t) // the binary of the image: the test's needs more memory
			return launch(t, cmd)
		},
	}.faultTest(t, func(f *fault) {
		f.mayBeLate = true // the attack takes the CPU of this machine, too
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answered := make(chan []time.Duration)
		go func() { answered <- askAllTheTime(ctx, t, f.p.endpoint) }()
		stop := startHostile(t, f.p)
		complete := func(u usage) bool {
			return u.connections >= hostileCrowd && u.adminConnections >= listen.AdminConnections/2
		}
		peak := watchMemory(t, f.p, complete)
		stop()
		cancel()
		waits := <-answered
		t.Logf("at most %v; %d answers after %v, at most %v", peak, len(waits), waits[len(waits)/2], waits[len(waits)-1])
		if peak.total() > mostMemory || peak.adminSockets > mostAdminSockets {
			t.Errorf("the sidecar took %v", peak)
		}
		if !complete(peak) {
			t.Errorf("%d and %d connections at most, so this test proves nothing", peak.connections, peak.adminConnections)
		}
	})
}

// askAllTheTime is six honest clients, half of which keep their connection. It returns,
// in order, how long they waited for answers.
func askAllTheTime(ctx context.Context, t *testing.T, addr string) (waits []time.Duration) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				begin := time.Now()
				resp, err := client.Get("http://" + addr + "/v1/credentials")
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("no credentials after %v: %v", time.Since(begin), err)
				}
				mu.Lock()
				waits = append(waits, time.Since(begin))
				mu.Unlock()
				time.Sleep(askPeriod)
			}
		})
	}
	clients.Wait()
	slices.Sort(waits)
	return waits
}
