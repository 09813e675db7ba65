package sts

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"

	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
)

// downAfter is how many calls in a row fail before another region is asked while there are
// valid credentials: one failure is often the last.
const downAfter = 2

// Fallback is a client of STS that asks that of another region while the region's own is
// down: it cannot be reached, does not answer in time, or answers with a 5xx status. A
// refusal is an answer, and so is a throttled call: quotas are regional, and are not to be
// evaded. The session tokens of all regions are valid in the whole partition. It is not for
// concurrent use.
type Fallback struct {
	own    *Client
	others []*Client
	valid  func() bool // whether there are valid credentials
	log    *slog.Logger

	down int  // failures of own in a row
	away bool // the latest call was not to own
}

// NewFallback returns a Fallback from the region of o to those regions. Without any it is
// a client of the former. It asks valid whether there are valid credentials. Its metrics are
// registered with reg.
func NewFallback(o Options, regions []string, valid func() bool, log *slog.Logger, reg prometheus.Registerer) *Fallback {
	m := newMetrics(reg)
	f := &Fallback{own: newClient(o, m), valid: valid, log: log}
	for _, region := range regions {
		o.Region = region
		other := newClient(o, m)
		other.endpoint = "STS of the fallback region " + region
		f.others = append(f.others, other)
	}
	return f
}

// AssumeRoleWithWebIdentity implements stscreds.AssumeRoleWithWebIdentityAPIClient. After
// two failures of the region's own STS in a row, or one if no credentials are valid, every
// other call goes to another region, chosen at random: a fleet must not fall on one.
func (f *Fallback) AssumeRoleWithWebIdentity(ctx context.Context, in *awssts.AssumeRoleWithWebIdentityInput, opts ...func(*awssts.Options)) (*awssts.AssumeRoleWithWebIdentityOutput, error) {
	client := f.own
	if f.away = f.leaves(); f.away {
		client = f.others[rand.IntN(len(f.others))]
		f.log.Warn("asking STS of another region", "region", client.region, "instead_of", f.own.region, "failures", f.down)
	}
	out, err := client.AssumeRoleWithWebIdentity(ctx, in, opts...)
	if err == nil {
		f.down, f.away = 0, false
		return out, nil
	}
	why, ok := errors.AsType[*Error](err)
	if !f.away {
		f.down++
		if !ok || !why.outage {
			f.down = 0
		}
	}
	if ok {
		why.elsewhere = f.leaves() != f.away
	}
	return nil, err
}

// leaves reports whether the next call goes to another region.
func (f *Fallback) leaves() bool {
	if len(f.others) == 0 || f.away || f.down == 0 {
		return false
	}
	return f.down >= downAfter || !f.valid()
}
