package monitoring

import (
	"maps"
	"slices"
	"testing"
)

// expectation is the required result of a query after everything that happens in world.
type expectation struct {
	by    []string // the labels that distinguish the series, if there are several
	want  []string // the values of those labels
	value *float64 // the last value of a single series
}

// series expects one series for each value of the labels by. Values of several labels
// are separated by spaces.
func series(by []string, want ...string) expectation { return expectation{by: by, want: want} }

// value expects one series whose last value is v.
func value(v float64) expectation { return expectation{value: &v} }

// positive expects one series whose last value is above 0.
func positive() expectation { return expectation{} }

func (e expectation) check(t *testing.T, got result) {
	t.Helper()
	if e.by != nil {
		want := map[string]bool{}
		for _, v := range e.want {
			want[v] = true
		}
		have := map[string]bool{}
		for key := range got {
			have[key] = true
		}
		wantSame(t, "series", want, have)
		return
	}
	v, ok := got[""]
	switch {
	case !ok:
		t.Error("want a series, got none")
	case e.value != nil && v != *e.value:
		t.Errorf("want %v at the end, got %v", *e.value, v)
	case e.value == nil && v <= 0:
		t.Errorf("want more than 0 at the end, got %v", v)
	}
}

func wantSame(t *testing.T, what string, want, got map[string]bool) {
	t.Helper()
	if !maps.Equal(want, got) {
		t.Errorf("%s: want %q, got %q", what, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	}
}

// expectations returns the expectation for each query, by key. No alert may fire for the
// pods good and renewing.
func expectations() map[string]expectation {
	var (
		pod      = []string{"pod"}
		all      = []string{"good", "renewing", "denied", "outage", "stale", "refusing"}
		served   = []string{"good", "renewing", "outage", "stale", "refusing"}
		reasons  = slices.Collect(maps.Keys(badRequests()))
		results  = []string{"success", "AccessDenied", "other", "network"}
		statuses = []string{"200", "400", "401", "403", "404", "405", "503"}
	)
	var refusing []string
	for _, reason := range reasons {
		refusing = append(refusing, "refusing "+reason)
	}
	return map[string]expectation{
		"IRSASidecarCredentialsExpiring": series(pod, "outage"),
		"IRSASidecarRefreshFailing":      series(pod, "denied", "outage"),
		"IRSASidecarNoCredentials":       series(pod, "denied", "outage"),
		"IRSASidecarTokenStale":          series(pod, "stale"),
		"IRSASidecarRefusing":            series([]string{"pod", "reason"}, refusing...),

		"Fleet: Sidecars":                           value(6),
		"Fleet: With credentials":                   value(4),
		"Fleet: Without credentials":                value(2),
		"Fleet: Refreshing fails":                   value(2),
		"Fleet: Expired tokens":                     value(1),
		"Fleet: Not scraped":                        value(1),
		"Fleet: Refreshing fails, by code":          series([]string{"code"}, "AccessDenied", "other", "network"),
		"Fleet: Failing now":                        series([]string{"pod", "code"}, "denied AccessDenied", "outage other", "outage network"),
		"Fleet: Next to expire":                     series(pod, all...),
		"Fleet: STS latency":                        positive(),
		"Fleet: STS latency B":                      positive(),
		"Fleet: STS latency C":                      positive(),
		"Fleet: Refreshes per minute, by result":    series([]string{"result"}, results...),
		"Fleet: Refused requests, by reason":        series([]string{"reason"}, reasons...),
		"Fleet: Requests, by status":                series([]string{"code"}, statuses...),
		"Fleet: Metadata requests, by version":      series([]string{"version"}, "1", "2"),
		"Fleet: Requests, by SDK":                   series([]string{"sdk"}, "go"),
		"Fleet: Versions":                           series([]string{"version"}, "(devel)"),
		"Fleet: Calls to STS per minute, by region": series([]string{"region"}, "eu-west-1"),

		"Workload: Credentials: time left":             series(pod, all...),
		"Workload: Refreshing fails":                   series([]string{"pod", "code"}, "denied AccessDenied", "outage other", "outage network"),
		"Workload: Next attempt in":                    series(pod, all...),
		"Workload: Time since last success":            series(pod, served...),
		"Workload: Refreshes per minute, by result":    series([]string{"result"}, results...),
		"Workload: Token: time left":                   series(pod, all...),
		"Workload: Token: replacements":                series(pod, all...),
		"Workload: STS: average latency":               series(pod, "denied", "outage", "renewing"),
		"Workload: Requests, by status":                series([]string{"code"}, statuses...),
		"Workload: Refused requests, by reason":        series([]string{"reason"}, reasons...),
		"Workload: Memory":                             series(pod, all...),
		"Workload: CPU":                                series(pod, all...),
		"Workload: Dropped log lines":                  series(pod, all...),
		"Workload: Settings whose file cannot be used": series([]string{"pod", "setting"}, "good session-policy-file"),
		"Workload: Builds":                             series([]string{"pod", "version"}, "good (devel)", "renewing (devel)", "denied (devel)", "outage (devel)", "stale (devel)", "refusing (devel)"),
	}
}
