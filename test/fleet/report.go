package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// report is what the outcomes are told in.
type report struct {
	tables   string // with their legends and the pictures, in Markdown
	pictures []file
}

// file is one for docs/.
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
		fmt.Sprintf(scarcityText, count(podsPerCall)), troubleTable(all.scarcities),
	}
	for i, section := range sections {
		sections[i] = strings.TrimSpace(section) + "\n"
	}
	return report{
		tables:   strings.Join(sections, "\n"),
		pictures: []file{{atRollout.file, atRollout.svg()}, {inOutage.file, inOutage.svg()}},
	}
}

// What is said above each table, so that no figure stands without what it means.
const (
	terms = `
*Peak* and *mean* are calls to STS a second, the peak the most in any whole
second. A pod *in error* had credentials, and at some moment later none that had
not expired. *fixed 80 %* renews at 80 % of the lifetime and, after a failure,
tries again after 1 s, 2 s, 4 s and so on up to 60 s, without any jitter. A call
takes 0.1 s, granted or not. Credentials live for an hour where nothing else is said.`

	rolloutText = `
**A rollout.** All pods start within a minute; STS grants every call. In the
picture the two lines are one in the first half hour.`

	steadyText = `
**Steady state.** Four hours, at the end of the day after such a rollout, or of a
fleet that has grown: its pods start at random within 9 h 36 min, which spreads the
fixed schedule as evenly as can be.`

	outageText = `
**An outage of an hour** in a fleet that has grown. Every call fails at once, and
afterwards is granted. *Recovered*: from the end of the outage until every pod has
credentials. The peak *later* is that of the waves in the two hours after.`

	lengthsText = `
**Outages of other lengths**: the share of %s pods in error, by schedule and
lifetime.`

	quotaRolloutText = `
**A rollout under a quota.** STS grants %d calls a second and refuses the rest; while
it is used up, whoever else shares it is refused too. That is what AWS gives an
account in a Region for calls [signed with credentials](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html);
for AssumeRoleWithWebIdentity, which is not signed, it documents no figure: take it
for the order only.`

	quotaOutageText = `
**The outage of an hour under that quota.**`

	scarcityText = `
**An hour of scarcity.** Others use up the quota but for one call a second for %s
pods: enough to renew each of them once in its hour, which takes 0.7, and for the
fixed schedule, which makes 0.9, but not for the sidecar's 1.2.`
)

// largest returns the outcomes of the largest fleet, the last of each schedule.
func largest(rows []*outcome) []*outcome { return rows[len(rows)-2:] }

func rolloutPicture(rows []*outcome) picture {
	fleets := largest(rows)
	return picture{
		file:   "fleet-rollout.svg",
		title:  count(fleets[0].pods) + " pods that start within a minute, and the waves after it",
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
		title:  count(fleets[0].pods) + " pods in an outage of STS of an hour",
		axis:   "minutes since the outage began",
		shown:  span{troubleStart - tick, fleets[0].length},
		zero:   troubleStart,
		shade:  fleets[0].trouble.span,
		fleets: fleets,
		panels: []panel{callsPanel(), lackingPanel()},
	}
}
