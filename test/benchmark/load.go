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
	// clients is the number of concurrent clients: more than the processes with
	// an SDK in a pod, far fewer than the connections that the sidecar allows.
	clients = 64

	// paceInterval is the interval between requests of a paced load: 500 a second
	// to each server, which leaves it idle most of the time, as applications do.
	paceInterval = time.Millisecond

	// grantLifetime makes a refresh come five to six seconds after the last one,
	// with almost three seconds left to complete it.
	grantLifetime = 9 * time.Second

	// A round of the sidecar begins refreshLead after a refresh and lasts
	// roundTime: the next refresh comes in the middle of it, and a round of the
	// other server fits in before the refresh after that.
	refreshLead = 4400 * time.Millisecond
	roundTime   = 2400 * time.Millisecond

	// rotationPeriod makes several new tokens per refresh.
	rotationPeriod = time.Second

	// answerGrace is how long requests in flight at the end of a round may still
	// take before they count as lost: no machine is so slow.
	answerGrace = 20 * time.Second
)

// load is a pattern of requests.
type load struct {
	name     string
	keep     bool          // connections
	interval time.Duration // between requests, which alternate between the servers; 0: each client asks again at once
}

func loads() []load {
	return []load{
		{"64 clients, connections kept", true, 0},
		{"64 clients, one connection per request", false, 0},
		{"500 requests a second, connections kept", true, paceInterval},
	}
}

// target is a server to measure.
type target struct {
	name       string
	addr, path string
	expiration func(body []byte) (time.Time, error) // checks an answer
}

// result is the result of a load, round by round.
type result struct {
	load          load
	sidecar, bare []round
}

// measureLoad measures both servers while the sidecar renews its credentials and
// its token rotates. It fails if any answer is lost.
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
	refreshes := len(sts.grants()) - 1 // the first grant was at startup
	if err := printLoad(w, results, refreshes, stall); err != nil {
		return err
	}
	return lossError(results, stall)
}

// longestStall returns, when ctx is done, the longest time that this process was
// kept from running: a machine that stalls for longer than the credentials are
// still valid causes losses that are not the sidecar's fault.
func longestStall(ctx context.Context) time.Duration {
	var longest time.Duration
	tick := time.NewTicker(slot)
	defer tick.Stop()
	// The wall clock, which continues while a virtual machine is paused.
	for last := time.Now().Round(0); wait(ctx, tick.C) == nil; {
		now := time.Now().Round(0)
		longest = max(longest, now.Sub(last)-slot)
		last = now
	}
	return longest
}

// takeTurns runs that many rounds of each load. The servers take turns, so that
// other work on the machine affects both. A round of the sidecar starts when it is
// about to renew its credentials.
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
			if l.interval > 0 { // the servers do not disturb each other
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

// ask runs a round against the targets and returns its clients, 64 for each.
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

// roundOf returns the result for t.
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

// askFast makes each client ask again as soon as it has its answer, until ctx is
// done.
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

// askPaced makes one client after the other ask, one per interval until ctx is
// done, however long the answers take. A client whose answer is late sends its
// next request late too; latency counts from when the request was due.
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

// sleepUntil is more precise than time.Sleep, which is up to a millisecond late on
// Linux: several times what an answer takes.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		rest := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&rest, nil) // a signal may interrupt it
	}
}
