package credentials

import (
	"context"
	"fmt"
	"time"
)

const (
	// forcedSpacing is the time between attempts that an operator causes.
	forcedSpacing = time.Minute

	// forcedPoll is how often Refresh looks whether the attempt has ended. Nobody else
	// waits for attempts, and it does so once a minute at most.
	forcedPoll = 50 * time.Millisecond
)

// Refresh has Run make an attempt now, or five seconds after the last call to STS, and
// returns its result, or an error when ctx is done before. It does so once in 60 seconds;
// otherwise its error says when it will again.
func (r *Refresher) Refresh(ctx context.Context) error {
	if left := r.reserve(); left > 0 {
		return fmt.Errorf("there was a refresh less than a minute ago: try again in %s", (left + time.Second).Truncate(time.Second))
	}
	before := r.state.Load()
	notify(r.force)
	tick := time.NewTicker(forcedPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s has not answered yet: see the log", r.grantor)
		}
		if s := r.state.Load(); s != before && s.reason != nil {
			return s.reason
		} else if s != before {
			return nil
		}
	}
}

// reserve returns 0 and takes the next forced attempt, or how long there is none.
func (r *Refresher) reserve() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := time.Until(r.forceable); left > 0 {
		return left
	}
	r.forceable = time.Now().Add(forcedSpacing)
	return 0
}
