package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// report presents the outcomes.
type report struct {
	tables   string // with legends and links to the pictures, in Markdown
	pictures []file
}

// file is a file for docs/.
type file struct{ name, text string }

func newReport(all outcomes) report {
	atRollout, inOutage := rolloutPicture(all.rollouts), outagePicture(all.quotaOutages)
	sections := []string{
		terms,
		rolloutText, rolloutTable(all.rollouts), atRollout.markdown(),
		steadyText, steadyTable(slices.Concat(all.rollouts, all.outages)),
		outageText, troubleTable(all.outages),
		fmt.Sprintf(lengthsText, count(all.lengths[0].pods)), lengthTable(all.lengths),
		fmt.Sprintf(quotaRolloutText, defaultQuota), quotaRolloutTable(all.quotaRollouts),
		quotaOutageText, troubleTable(all.quotaOutages, exhaustedColumn()), inOutage.markdown(),
		fmt.Sprintf(scarcityText, count(podsPerCall)), scarcityTable(all.scarcities),
		mixtureText, mixtureTable(all.mixtures),
	}
	for i, section := range sections {
		sections[i] = strings.TrimSpace(section) + "\n"
	}
	return report{
		tables:   strings.Join(sections, "\n"),
		pictures: []file{{atRollout.file, atRollout.svg()}, {inOutage.file, inOutage.svg()}},
	}
}

// The texts above the tables explain every figure.
const (
	terms = `
*Peak* and *mean* are calls to STS per second; the peak is the highest number in any
whole second. A pod is *in error* if its credentials expired before it got new ones.
*fixed 80 %* renews at 80 % of the lifetime and, after a failure, retries after 1 s,
2 s, 4 s and so on up to 60 s, without jitter. A call takes 0.1 s, granted or not.
Credentials live for an hour unless a table says otherwise.`

	rolloutText = `
**A rollout.** All pods start within a minute; STS grants every call. In the
picture the two lines coincide for the first half hour.`

	steadyText = `
**Steady state.** Four hours, at the end of the day after such a rollout, or in a
fleet that grew slowly. The pods of the latter start at random within 9 h 36 min,
which spreads the fixed schedule as evenly as possible.`

	outageText = `
**A one-hour outage** in a fleet that grew slowly. Every call fails immediately;
afterwards every call is granted. *Recovered after* is the time from the end of the
outage until every pod has credentials. *Peak, later* is the peak of the waves
between 5 minutes and two hours after the outage.`

	lengthsText = `
**Outages of other lengths**: the share of %s pods in error, by schedule and
lifetime.`

	quotaRolloutText = `
**A rollout under a quota.** STS grants %d calls a second and refuses the rest. While
the quota is used up, everything else that shares it is refused too. This is the quota
of an account in a Region for calls
[signed with credentials](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
AWS documents no figure for AssumeRoleWithWebIdentity, which is not signed: take this
one as the order of magnitude only.`

	quotaOutageText = `
**The one-hour outage under that quota.**`

	scarcityText = `
### Scarcity

In a fleet that has been running for long, other callers leave one call
a second for every %s pods. That is enough to renew each of them once in its hour, which
takes 0.7 calls a second, and for the fixed schedule, which makes 0.9, but not for the
sidecar, which would make 1.2. *Offered* is the number of calls during the trouble,
divided by how many STS would grant. *Pods in error* is for each of five seeds; offered
and longest error are the worst of the five, the other figures are of the first.
*back-off alone* is the sidecar with its back-off for other failures in place of the rule
for throttling, *one long wait* with that rule for the first throttled answer only, and
*evenly random* with that rule, but a first wait that is as often short as long.
The *oracle* is the limit: nobody is refused, and whose credentials expire first is
served first.`

	mixtureText = `
Scarcity in mixed fleets, for an hour, with one call a second for every 3,000 pods
if half of them have an SDK that renews five minutes before the end; when it fails it makes
three attempts at once and three more every ten seconds. And with one for every 2,500 pods
if a tenth of the credentials live for 15 minutes, and the rest for an hour or twelve.`
)

// largest returns the last outcome of each schedule: those of the largest fleet.
func largest(rows []*outcome) []*outcome { return rows[len(rows)-2:] }

func rolloutPicture(rows []*outcome) picture {
	fleets := largest(rows)
	return picture{
		file:   "fleet-rollout.svg",
		title:  "Rollout of " + count(fleets[0].pods) + " pods within a minute, and the waves after it",
		axis:   "minutes since the rollout began",
		shown:  span{0, 4 * time.Hour},
		fleets: fleets,
		panels: []panel{callsPanel()},
	}
}

func outagePicture(rows []*outcome) picture {
	fleets := largest(rows)
	return picture{
		file:   "fleet-outage.svg",
		title:  count(fleets[0].pods) + " pods in a one-hour outage of STS",
		axis:   "minutes since the outage began",
		shown:  span{troubleStart - tick, fleets[0].length},
		zero:   troubleStart,
		shade:  fleets[0].trouble.span,
		fleets: fleets,
		panels: []panel{callsPanel(), lackingPanel()},
	}
}
