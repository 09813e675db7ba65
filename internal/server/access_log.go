package server

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// accessPeriod is how long requests are counted before the log has them.
	accessPeriod = time.Minute

	// accessLines bounds the different lines of a period; one more has the rest. A pod has
	// a few users with a few programs each, unless one changes its User-Agent all the time.
	accessLines = 64

	// longestAgent is how many bytes of a User-Agent are logged.
	longestAgent = 100
)

// AccessLog counts requests by who sent them, and writes the counts to a log a minute after
// the first, so that nothing runs while nobody asks. It has nothing of a request but its
// User-Agent: path, query and headers may be secrets. It is safe for concurrent use.
type AccessLog struct {
	log *slog.Logger

	mu sync.Mutex // guards the fields below
	// lines has the requests of this period, in the order of the first of each kind. There
	// are too few for a map.
	lines  []line
	others int // requests that would have needed more lines
}

// line is a kind of request, and how many there were.
type line struct {
	access
	count int
}

// access is what a line of the access log says of a request.
type access struct {
	endpoint string
	uid      any    // a uint32, or nil: not known
	agent    string // printable
	status   int
}

// NewAccessLog returns an AccessLog that writes to log.
func NewAccessLog(log *slog.Logger) *AccessLog {
	return &AccessLog{log: log}
}

// add counts a request.
func (l *AccessLog) add(a access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lines {
		if l.lines[i].access == a {
			l.lines[i].count++
			return
		}
	}
	switch len(l.lines) {
	case accessLines:
		l.others++
		return
	case 0:
		time.AfterFunc(accessPeriod, l.Flush)
	}
	l.lines = append(l.lines, line{a, 1})
}

// printable returns the first bytes of a User-Agent, with a question mark for what is not
// printable ASCII.
func printable(agent string) string {
	clean := []byte(agent[:min(len(agent), longestAgent)])
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	return string(clean)
}

// Flush writes the counts of this period, and begins another one. It must be called at the
// end of the process, and does nothing with the nil *AccessLog.
func (l *AccessLog) Flush() {
	if l == nil {
		return
	}
	l.mu.Lock()
	lines, others := l.lines, l.others
	l.lines, l.others = nil, 0
	l.mu.Unlock()
	for _, a := range lines {
		l.log.Info("requests", "endpoint", a.endpoint, "uid", a.uid, "user_agent", a.agent, "status", a.status, "count", a.count)
	}
	if others > 0 {
		l.log.Info("other requests", "count", others)
	}
}
