package config

import (
	"slices"
	"strings"
)

// fipsRegions are the regions in which STS has a FIPS endpoint:
// https://aws.amazon.com/compliance/fips/
const fipsRegions = "us-east-1 us-east-2 us-west-1 us-west-2 us-gov-east-1 us-gov-west-1"

// fallbackRegions returns the regions whose STS is asked while that of s is down.
func (l *loader) fallbackRegions(s STS) []string {
	value := l.value(keySTSFallback)
	if value == "" {
		return nil
	}
	if s.Endpoint != "" {
		l.fail(keySTSFallback, "mutually exclusive with %s, which is not in a region", l.settings[keySTSEndpoint].name())
		return nil
	}
	regions := strings.Split(value, ",")
	for i, region := range regions {
		region = strings.TrimSpace(region)
		regions[i] = region
		switch of := partitionOf(region); {
		case of == "" || !matches(regionRule, region):
			l.fail(keySTSFallback, "entry %d is not the name of a region, such as eu-west-1; entries are separated by commas", i+1)
		case region == s.Region:
			l.fail(keySTSFallback, "entry %d, %s, is the region itself", i+1, region)
		case slices.Contains(regions[:i], region):
			l.fail(keySTSFallback, "entry %d, %s, is there twice", i+1, region)
		case s.Region != "" && of != partitionOf(s.Region):
			l.fail(keySTSFallback, "entry %d, %s, is not in the partition of the region %s", i+1, region, s.Region)
		case s.UseFIPS && !slices.Contains(strings.Fields(fipsRegions), region):
			l.fail(keySTSFallback, "entry %d, %s: STS has no FIPS endpoint there, and %s is set", i+1, region, l.settings[keyUseFIPS].name())
		}
	}
	return regions
}
