package main

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// scarcityTable has a row for each scarcity.
func scarcityTable(rows []*scarcity) string {
	first := func(of func(*outcome) string) func(*scarcity) string {
		return func(s *scarcity) string { return of(s.runs[0]) }
	}
	return table(rows,
		column[*scarcity]{"scarcity", func(s *scarcity) string { return s.what }},
		column[*scarcity]{"pods", first(func(o *outcome) string { return count(o.pods) })},
		column[*scarcity]{"schedule", first(func(o *outcome) string { return o.name })},
		column[*scarcity]{"offered", (*scarcity).offered},
		column[*scarcity]{"peak", first(func(o *outcome) string { return count(o.peak(o.trouble.span)) })},
		column[*scarcity]{"pods in error", func(s *scarcity) string { return s.erred(total) }},
		column[*scarcity]{"first error after", first(func(o *outcome) string { return dashIf(o.erred == 0, short(o.firstErred-o.trouble.from)) })},
		column[*scarcity]{"mean time in error", first(func(o *outcome) string {
			return dashIf(o.erred == 0, short(o.timeWithout/time.Duration(max(1, o.erred))))
		})},
		column[*scarcity]{"longest", func(s *scarcity) string { return s.longest(total) }},
		column[*scarcity]{"recovered after", first(func(o *outcome) string {
			return dashIf(o.recovered <= o.trouble.to, short(o.recovered-o.trouble.to))
		})},
	)
}

// kind is one of the kinds of pods in a mixed fleet.
type kind struct {
	*scarcity
	member
	losses func(*outcome) losses
}

// mixtureTable has a row for each kind of pods of each fleet.
func mixtureTable(fleets []*scarcity) string {
	var rows []kind
	for _, fleet := range fleets {
		mix := fleet.runs[0].mix
		for i, m := range mix {
			same := func(other member) bool { return other.name == m.name && other.lifetime == m.lifetime }
			if slices.IndexFunc(mix, same) < i {
				continue
			}
			rows = append(rows, kind{fleet, m, func(o *outcome) (l losses) {
				for j, other := range mix {
					if same(other) {
						l.add(o.of[j])
					}
				}
				return l
			}})
		}
	}
	return table(rows,
		column[kind]{"fleet", func(k kind) string { return k.what }},
		column[kind]{"schedule", func(k kind) string { return k.name }},
		column[kind]{"lifetime", func(k kind) string { return short(k.lifetime) }},
		column[kind]{"offered by all", func(k kind) string { return k.offered() }},
		column[kind]{"pods in error", func(k kind) string { return k.erred(k.losses) }},
		column[kind]{"longest", func(k kind) string { return k.longest(k.losses) }},
	)
}

func total(o *outcome) losses { return o.losses }

// add adds what other pods lost.
func (l *losses) add(other losses) {
	l.erred += other.erred
	l.timeWithout += other.timeWithout
	l.longest = max(l.longest, other.longest)
}

// offered returns the calls during the trouble as a multiple of what STS grants, in the worst run.
func (s *scarcity) offered() string {
	worst := 0.0
	for _, o := range s.runs {
		worst = max(worst, 10*o.mean(o.trouble.span)/float64(o.trouble.per10s))
	}
	return strconv.FormatFloat(worst, 'f', 2, 64)
}

// erred returns how many pods lost their credentials in each run.
func (s *scarcity) erred(of func(*outcome) losses) string {
	var each []string
	for _, o := range s.runs {
		each = append(each, count(of(o).erred))
	}
	return strings.Join(each, " ")
}

// longest returns the longest that a pod was without credentials in any run.
func (s *scarcity) longest(of func(*outcome) losses) string {
	longest := time.Duration(0)
	for _, o := range s.runs {
		longest = max(longest, of(o).longest)
	}
	return dashIf(longest == 0, short(longest))
}
