package check

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	networkTimeout = 6 * time.Second

	// clockWarning and clockFailure are how far the clock of the node may be from that of
	// STS. AWS accepts no signature that is more than five minutes off.
	clockWarning = 30 * time.Second
	clockFailure = 5 * time.Minute
)

// network checks the way to STS, and to that of the fallback regions, without a call.
func (r *run) network(ctx context.Context) outcome {
	if len(r.Settings) > 0 {
		return skip("the settings are wrong")
	}
	found := r.own(ctx)
	for _, f := range r.Fallback {
		found = append(found, f.network(ctx)...)
	}
	return found
}

// network checks the way to a fallback region, which matters only while the region's own STS
// is down.
func (f Fallback) network(ctx context.Context) outcome {
	limited, cancel := context.WithTimeout(ctx, networkTimeout)
	defer cancel()
	reach, failure := f.Reach(limited)
	if failure != nil {
		return warn("fallback region %s: %s", f.Region, failure.What).advise("have the pod reach it, or correct --sts-fallback-regions")
	}
	return ok("fallback region %s: %s", f.Region, reach.describe())
}

// own checks the way to the region's own STS.
func (r *run) own(ctx context.Context) outcome {
	limited, cancel := context.WithTimeout(ctx, networkTimeout)
	defer cancel()
	reach, failure := r.Reach(limited)
	if failure != nil {
		text := failure.What
		if failure.Kind == KindUnknownHost {
			text += ": is the region's name right?"
		}
		if done := reach.stages(); done != "" {
			text += "; before that, " + done
		}
		advice := failure.advice()
		return fail("%s", text).advise(append(advice, r.mesh(ctx, reach.Refused)...)...)
	}
	r.reached = true
	offset := r.Now().Sub(reach.Date).Round(time.Second)
	if reach.Date.IsZero() {
		return ok("%s", reach.describe())
	}
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	text := fmt.Sprintf("this node's clock is %s %s that of STS", short(offset.Abs()), direction)
	const advice = "correct the clock of the node (NTP): AWS refuses tokens and requests whose time is wrong"
	switch {
	case offset.Abs() >= clockFailure:
		return fail("%s; %s", text, reach.describe()).advise(advice)
	case offset.Abs() >= clockWarning:
		return warn("%s; %s", text, reach.describe()).advise(advice)
	}
	return ok("%s; the clocks agree", reach.describe())
}

// describe says which way STS was reached.
func (r Reach) describe() string {
	text := r.Host + " directly: "
	if r.Proxy != "" {
		text = r.Host + " through the proxy " + r.Proxy + ": "
	}
	text += r.stages()
	if r.Issuer == "" {
		return text + "; without TLS"
	}
	return text + "; certificate from " + r.Issuer
}

// stages says how long each stage took.
func (r Reach) stages() string {
	var all []string
	for _, stage := range []struct {
		name string
		took time.Duration
		more string
	}{{"DNS", r.DNS, r.addresses()}, {"TCP", r.Connect, ""}, {"TLS", r.TLS, ""}, {"answer", r.Answer, ""}} {
		if stage.took > 0 {
			all = append(all, fmt.Sprintf("%s %d ms%s", stage.name, (stage.took+time.Millisecond-1)/time.Millisecond, stage.more))
		}
	}
	return strings.Join(all, ", ")
}

// addresses returns the first address in parentheses. A private one, without a proxy, can
// only be that of a VPC endpoint.
func (r Reach) addresses() string {
	if len(r.Addresses) == 0 {
		return ""
	}
	first := r.Addresses[0]
	if first.IsPrivate() && r.Proxy == "" && isAWS(r.Host) {
		return fmt.Sprintf(" (%v, private: a VPC endpoint)", first)
	}
	return fmt.Sprintf(" (%v)", first)
}

func isAWS(host string) bool {
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") || strings.HasSuffix(host, ".api.aws")
}

// advice returns what to do about a failure. In check, what the log line says is above.
func (f *Failure) advice() []string {
	fix := strings.ReplaceAll(f.Fix, ` in the log line "token loaded"`, " above")
	if f.Proves == "" {
		return []string{fix}
	}
	return []string{f.Proves, fix}
}
