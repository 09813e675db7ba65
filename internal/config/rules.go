package config

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// The rules of STS and IAM, as regular expressions:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const (
	sessionNameRule = `^[\w+=,.@-]{2,64}$`
	roleRule        = `^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`
	otherRoleRule   = `^arn:[\w-]+:iam:[\w-]*:[\w-]*:role/[\w+=,.@/-]+$` // of an STS that is not AWS's
	policyARNRule   = `^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+$`
	instanceIDRule  = `^[\w.-]+$`
	pathRule        = `^(/[\w~-][\w.~-]*)+/?$`
)

// maxUID is the largest user id: the next number means none, as in chown(2).
const maxUID = 1<<32 - 2

// matches reports whether a value keeps a rule. Rules are compiled where they are used,
// once or twice at start, so that they do not stay in memory.
func matches(rule, value string) bool {
	return regexp.MustCompile(rule).MatchString(value)
}

func (l *loader) logLevel() (level slog.Level) {
	value := l.value(keyLogLevel)
	switch strings.ToLower(value) {
	case "debug", "info", "warn", "error":
		level.UnmarshalText([]byte(value))
	default:
		l.fail(keyLogLevel, "%s is not %s", quoted(value), l.settings[keyLogLevel].limit)
	}
	return level
}

func (l *loader) tokenFile() string {
	l.required(keyTokenFile)
	return l.file(keyTokenFile)
}

func (l *loader) role() arn.ARN {
	value := l.required(keyRoleARN)
	if value == "" {
		return arn.ARN{}
	}
	role, err := arn.Parse(value)
	isOther := err == nil && matches(otherRoleRule, value)
	switch {
	case err == nil && matches(roleRule, value) || isOther && l.value(keySTSEndpoint) != "":
	case isOther:
		l.fail(keyRoleARN, "%s is not the ARN of a role of AWS, such as arn:aws:iam::123456789012:role/NAME: if another STS knows it, as those of MinIO and Ceph do, set %s", quoted(value), l.settings[keySTSEndpoint].name())
	default:
		l.fail(keyRoleARN, "%s is not the ARN of a role, such as arn:aws:iam::123456789012:role/NAME", quoted(value))
		return arn.ARN{}
	}
	return role
}

func (l *loader) sessionName() string {
	value := l.value(keySessionName)
	if value == "" {
		return defaultSessionName(os.Hostname())
	}
	if !matches(sessionNameRule, value) {
		l.fail(keySessionName, "%s is not 2 to 64 letters, digits and _+=,.@-", quoted(value))
	}
	return value
}

// defaultSessionName makes a host name, which in a pod is the pod's, a valid session
// name.
func defaultSessionName(host string, err error) string {
	if err != nil {
		return "irsa-sidecar"
	}
	name := regexp.MustCompile(`[^\w+=,.@-]`).ReplaceAllString(host, "-")
	if len(name) < 2 {
		name = "irsa-sidecar-" + name
	}
	return name[:min(len(name), 64)]
}

// longest is the --duration that stands for the longest that the role allows.
const longest = "max"

// duration returns the duration to request, and whether it is only the longest that a role
// may allow.
func (l *loader) duration() (time.Duration, bool) {
	if l.value(keyDuration) == longest {
		_, most := l.settings[keyDuration].durations()
		return most, true
	}
	d := l.durationOf(keyDuration)
	if d%time.Second != 0 {
		l.fail(keyDuration, "%q is not in whole seconds", l.value(keyDuration))
	}
	return d, false
}

// durationOf returns a setting that is a duration within its limits, 0 if it is not.
func (l *loader) durationOf(k key) time.Duration {
	value := l.value(k)
	d, err := time.ParseDuration(value)
	if least, most := l.settings[k].durations(); err != nil || d < least || d > most {
		l.fail(k, "%s is not a duration from %s with its unit, as in 90s, 15m or 1h", quoted(value), l.settings[k].limit)
		return 0
	}
	return d
}

// policy returns the session policy, and the file that it is from.
func (l *loader) policy() (policy, file string) {
	file = l.file(keySessionPolicyFile)
	if file == "" {
		return "", ""
	}
	policy, err := ReadPolicy(l.read, file)
	if err != nil {
		l.fail(keySessionPolicyFile, "%v", err)
	}
	return policy, file
}

// ReadPolicy reads the session policy from a file. Its errors do not name the file.
func ReadPolicy(read ReadFile, file string) (string, error) {
	most := settings()[keySessionPolicyFile].most()
	policy, err := read(file, utf8.UTFMax*most)
	switch {
	case err != nil:
		return "", err
	case !json.Valid(policy):
		return "", errors.New("the file does not hold JSON")
	case utf8.RuneCount(policy) > most:
		return "", fmt.Errorf("the file has %d characters, STS accepts at most %d", utf8.RuneCount(policy), most)
	}
	return string(policy), nil
}

func (l *loader) policyARNs() []string {
	value := l.value(keySessionPolicyARNs)
	if value == "" {
		return nil
	}
	arns := strings.Split(value, ",")
	if most := l.settings[keySessionPolicyARNs].most(); len(arns) > most {
		l.fail(keySessionPolicyARNs, "has %d policies, STS accepts at most %d", len(arns), most)
	}
	for i, a := range arns {
		arns[i] = strings.TrimSpace(a)
		if !matches(policyARNRule, arns[i]) {
			l.fail(keySessionPolicyARNs, "entry %d is not the ARN of a policy, such as arn:aws:iam::123456789012:policy/NAME; entries are separated by commas", i+1)
		}
	}
	return arns
}

func (l *loader) sts(required bool) STS {
	s := STS{
		Region:       l.region(required && l.value(keySTSEndpoint) == ""),
		Endpoint:     l.value(keySTSEndpoint),
		UseFIPS:      l.boolean(keyUseFIPS),
		UseDualStack: l.boolean(keyUseDualStack),
	}
	s.RootCAs, s.CABundle = l.rootCAs()
	s.Fallback = l.fallbackRegions(s)
	if s.Endpoint == "" {
		return s
	}
	if !isEndpoint(s.Endpoint) {
		l.fail(keySTSEndpoint, "is not a URL of the form https://HOST[:PORT][/PATH]")
	}
	if s.UseFIPS || s.UseDualStack {
		l.fail(keySTSEndpoint, "mutually exclusive with %s and %s, which choose the endpoint", l.settings[keyUseFIPS].name(), l.settings[keyUseDualStack].name())
	}
	return s
}

// isEndpoint reports whether a URL has nothing but scheme, host and path: anything else
// may be a secret, and would be in messages.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && isPort(u.Port()) && strings.EqualFold(bare.String(), s)
}

// IsPlaintext reports whether STS is called without TLS, and not over loopback.
func (s STS) IsPlaintext() bool {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}

// isPort reports whether a string is a port, or empty.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil
}

func (l *loader) boolean(k key) bool {
	value := l.value(k)
	switch strings.ToLower(value) {
	case "true":
		return true
	case "false":
	default:
		l.fail(k, "%s is neither true nor false", quoted(value))
	}
	return false
}

// allowedUIDs returns the user ids that may ask, nil if that is everybody.
func (l *loader) allowedUIDs() (uids []uint32) {
	value := l.value(keyAllowedUIDs)
	if value == "" {
		return nil
	}
	for i, entry := range strings.Split(value, ",") {
		uid, err := strconv.ParseUint(entry, 10, 32)
		switch {
		case err != nil || uid > maxUID || entry != strconv.FormatUint(uid, 10):
			l.fail(keyAllowedUIDs, "entry %d is not a user id, a number from 0 to %d without spaces, signs or zeros in front; entries are separated by commas", i+1, maxUID)
		case slices.Contains(uids, uint32(uid)):
			l.fail(keyAllowedUIDs, "entry %d repeats an earlier one", i+1)
		}
		uids = append(uids, uint32(uid))
	}
	return uids
}

func (l *loader) instanceID() string {
	value := l.value(keyInstanceID)
	if value != "" && !matches(instanceIDRule, value) || len(value) > l.settings[keyInstanceID].most() {
		l.fail(keyInstanceID, "%s is not an id such as i-0123456789abcdef0: at most %s, letters, digits and -._", quoted(value), l.settings[keyInstanceID].limit)
	}
	return value
}

// maxBundle is enough for every public root certificate, in bytes, a dozen times.
const maxBundle = 4 << 20

// rootCAs returns the certificates of AWS_CA_BUNDLE, which as in every SDK replace the
// system's, and the file.
func (l *loader) rootCAs() (pool *x509.CertPool, file string) {
	file = l.file(keyCABundle)
	if file == "" {
		return nil, ""
	}
	pool, err := ReadRootCAs(l.read, file)
	if err != nil {
		l.fail(keyCABundle, "%v", err)
	}
	return pool, file
}

// ReadRootCAs reads root certificates from a file. Its errors do not name the file.
func ReadRootCAs(read ReadFile, file string) (*x509.CertPool, error) {
	bundle, err := read(file, maxBundle)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("the file holds no certificate in PEM form")
	}
	return pool, nil
}
