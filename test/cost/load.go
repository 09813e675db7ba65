package main

import (
	"context"
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// clients is how many ask at the same time: more than a pod has processes
	// with an SDK, far fewer than the connections that the sidecar allows.
	clients = 64

	// paceInterval parts the requests of a paced load, which leaves the servers
	// idle for most of the time, as applications do: 500 a second to each.
	paceInterval = time.Millisecond

	// grantLifetime makes a refresh come five to six seconds after the last
	// one, with almost three left to make it in.
	grantLifetime = 9 * time.Second

	// refreshLead is when rounds of the sidecar begin after a refresh, and
	// roundTime how long they last: the next refresh comes in the middle, and a
	// round of the other server fits in before the one after that.
	refreshLead = 4400 * time.Millisecond
	roundTime   = 2400 * time.Millisecond

	// rotationPeriod brings several new tokens for each refresh.
	rotationPeriod = time.Second

	// answerGrace is what requests that are on their way when a round ends have
	// yet for their answers, which are lost after that: no machine is so slow.
	answerGrace = 20 * time.Second
)

// load is a way in which the clients ask.
type load struct {
	name     string
	keep     bool          // their connections
	interval time.Duration // between requests, to one server and the other by turns; 0: each client asks again at once
}

func loads() []load {
	return []load{
		{"64 clients, connections kept", true, 0},
		{"64 clients, a connection a request", false, 0},
		{"500 requests a second, connections kept", true, paceInterval},
	}
}

// target is a server to ask.
type target struct {
	name       string
	addr, path string
	expiration func(body []byte) (time.Time, error) // of an answer that is right
}

// result is what came of a load, round by round.
type result struct {
	load          load
	sidecar, bare []round
}

// measureLoad asks both servers while the sidecar renews its credentials and
// gets new tokens. It fails if any answer was lost.
func measureLoad(ctx context.Context, w io.Writer, sts *stsServer, sidecar, bare target, rounds int) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sts.rotate(gctx, rotationPeriod) })
	var stall time.Duration
	g.Go(func() error {
		stall = longestStall(gctx)
		return nil
	})
	var results []result
	g.Go(func() (err error) {
		defer end()
		results, err = takeTurns(gctx, sts, sidecar, bare, rounds)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	refreshes := len(sts.grants()) - 1 // the first was at the start
	if err := printLoad(w, results, refreshes, stall); err != nil {
		return err
	}
	return lossError(results, stall)
}

// longestStall returns, when ctx is done, for how long at the most this process
// was kept from running: a machine that stands still for longer than credentials
// have left makes losses that are not the sidecar's.
func longestStall(ctx context.Context) time.Duration {
	var longest time.Duration
	tick := time.NewTicker(slot)
	defer tick.Stop()
	// The wall clock, which goes on while a virtual machine does not.
	for last := time.Now().Round(0); wait(ctx, tick.C) == nil; {
		now := time.Now().Round(0)
		longest = max(longest, now.Sub(last)-slot)
		last = now
	}
	return longest
}

// takeTurns asks the servers for that many rounds of each load: by turns, so that
// what else the machine does hits both, and the sidecar whenever it is about to
// renew its credentials.
func takeTurns(ctx context.Context, sts *stsServer, sidecar, bare target, rounds int) ([]result, error) {
	var results []result
	for _, l := range loads() {
		r := result{load: l}
		for range rounds {
			grants := sts.grants()
			if err := wait(ctx, time.After(time.Until(grants[len(grants)-1].Add(refreshLead)))); err != nil {
				return nil, err
			}
			var all []*client
			if l.interval > 0 { // neither server is in the other's way
				all = l.ask(ctx, sidecar, bare)
			} else {
				all = append(l.ask(ctx, sidecar), l.ask(ctx, bare)...)
			}
			r.sidecar = append(r.sidecar, roundOf(sidecar, all, sts.grants()))
			r.bare = append(r.bare, roundOf(bare, all, sts.grants()))
		}
		results = append(results, r)
	}
	return results, context.Cause(ctx)
}

// ask asks the targets for a round and returns the clients that did, 64 of each.
func (l load) ask(ctx context.Context, targets ...target) []*client {
	deadline := time.Now().Add(roundTime + answerGrace)
	var all []*client
	for range clients {
		for _, t := range targets {
			c := newClient(l, t, deadline)
			defer c.close()
			c.open()
			all = append(all, c)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	if l.interval > 0 {
		askPaced(ctx, all, l.interval)
	} else {
		askFast(ctx, all)
	}
	return all
}

// roundOf tells what came of asking t.
func roundOf(t target, all []*client, refreshes []time.Time) round {
	var samples []sample
	var lost int
	var losses []loss
	for _, c := range all {
		if c.target.name == t.name {
			samples = append(samples, c.samples...)
			lost += c.lost
			losses = append(losses, c.losses...)
		}
	}
	return newRound(samples, lost, losses, refreshes)
}

// askFast lets each client ask again as soon as it has its answer, until ctx
// is done.
func askFast(ctx context.Context, all []*client) {
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			for ctx.Err() == nil {
				c.ask(time.Now())
			}
		})
	}
	wg.Wait()
}

// askPaced lets one client after the other ask, every interval until ctx is
// done, however long the answers take: a client whose answer is late is late
// with its next request too, which counts from when it was due.
func askPaced(ctx context.Context, all []*client, interval time.Duration) {
	var wg sync.WaitGroup
	due := make([]chan time.Time, len(all))
	for i, c := range all {
		due[i] = make(chan time.Time, roundTime/interval) // never full
		wg.Go(func() {
			for at := range due[i] {
				c.ask(at)
			}
		})
	}
	begin := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		at := begin.Add(time.Duration(n) * interval)
		sleepUntil(at)
		due[n%len(due)] <- at
	}
	for _, c := range due {
		close(c)
	}
	wg.Wait()
}

// sleepUntil is more exact than time.Sleep, which is up to a millisecond late
// on Linux: several times what an answer takes.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		rest := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&rest, nil) // a signal may interrupt it
	}
}
