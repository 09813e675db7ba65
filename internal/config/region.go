package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

const (
	regionRule = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

	// zoneRule matches availability zones (eu-west-1a), local zones (us-west-2-lax-1a)
	// and Wavelength zones (us-east-1-wl1-bos-wlz-1); the first group is their region.
	zoneRule = `^([a-z-]+-\d+)(?:[a-z]|-[a-z]{3}-\d+[a-z]|-wl\d+-[a-z]{3}-wlz-\d+)$`
)

func (l *loader) region(required bool) string {
	value := l.value(keyRegion)
	switch {
	case value == "" && required:
		l.fail(keyRegion, "is required unless an STS endpoint is set: the EKS pod identity webhook sets it; without the webhook write the cluster's region in the pod")
	case value != "" && !matches(regionRule, value):
		l.fail(keyRegion, "%s is not the name of a region, such as eu-west-1", quoted(value))
	default:
		if zone := regexp.MustCompile(zoneRule).FindStringSubmatch(value); zone != nil && partitionOf(zone[1]) != "" {
			l.fail(keyRegion, "%q is a zone, not a region: set its region, %s", value, zone[1])
		}
	}
	return value
}

// zone returns the availability zone, which must be one of region if that is a region of
// AWS: many programs take their region from it.
func (l *loader) zone(region string) string {
	value := l.value(keyZone)
	if value == "" {
		return ""
	}
	zone := regexp.MustCompile(zoneRule).FindStringSubmatch(value)
	switch {
	case !matches(regionRule, value):
		l.fail(keyZone, "%s is not the name of a zone, such as eu-west-1a", quoted(value))
	case partitionOf(region) != "" && (zone == nil || zone[1] != region):
		l.fail(keyZone, "%s is not a zone of the region %s, such as %sa", quoted(value), region, region)
	}
	return value
}

// checkPartition checks that role and region are in the same AWS partition: STS of one
// partition knows no role of another. Roles, partitions and regions that are not AWS's
// pass.
func (l *loader) checkPartition(role arn.ARN, region string) {
	of := partitionOf(region)
	if of == "" || of == role.Partition || !matches(roleRule, role.String()) {
		return
	}
	for _, p := range partitions() {
		if p.name == role.Partition {
			l.fail(keyRoleARN, "is in the partition %s, and the region %s in the partition %s: set a role and a region of the same partition", p.name, region, of)
		}
	}
}

// partition is an AWS partition, what the names of its regions begin with, and the domain
// of its services.
type partition struct{ name, prefixes, domain string }

// partitions returns the AWS partitions, as in the partitions.json of the AWS SDKs.
func partitions() []partition {
	return []partition{
		{"aws", "us eu ap sa ca me af il mx", "amazonaws.com"},
		{"aws-cn", "cn", "amazonaws.com.cn"},
		{"aws-us-gov", "us-gov", "amazonaws.com"},
		{"aws-iso", "us-iso", "c2s.ic.gov"},
		{"aws-iso-b", "us-isob", "sc2s.sgov.gov"},
		{"aws-iso-e", "eu-isoe", "cloud.adc-e.uk"},
		{"aws-iso-f", "us-isof", "csp.hci.ic.gov"},
		{"aws-eusc", "eusc-de", "amazonaws.eu"},
	}
}

// partitionOf returns the partition of a region, "" if it is not AWS's.
func partitionOf(region string) string {
	name := regexp.MustCompile(`^([a-z-]+)-[a-z]+-\d+$`).FindStringSubmatch(region)
	if name == nil {
		return ""
	}
	for _, p := range partitions() {
		if slices.Contains(strings.Fields(p.prefixes), name[1]) {
			return p.name
		}
	}
	return ""
}
