package main

import (
	"fmt"
	"strings"
	"time"
)

// testCase is a column of the table.
type testCase struct {
	name  string
	title string // what a reader of the table is told
	slow  bool   // not in --quick
	run   func(*trial) error
	skip  func(release) string // why the case cannot apply; empty: it can
}

func (c testCase) limit() time.Duration {
	if c.slow {
		return 15 * time.Minute
	}
	return 90 * time.Second
}

// reason returns why the case cannot apply to a release, or nothing.
func (c testCase) reason(r release) string {
	if r.marked("program") && !strings.HasSuffix(c.name, "work") {
		return "a program that answers no questions"
	}
	return c.skip(r)
}

const (
	fullURI    = "AWS_CONTAINER_CREDENTIALS_FULL_URI="
	noMetadata = "AWS_EC2_METADATA_DISABLED=true"
)

func always(release) string { return "" }

// asks is for what cannot be without a full URI.
func asks(r release) string {
	if r.marked("no_uri") {
		return "it knows no full URI"
	}
	return ""
}

// keeps is for cases about credentials that an SDK keeps.
func keeps(r release) string {
	if r.marked("oneshot") {
		return "one process, one request"
	}
	return asks(r)
}

// works is for what only programs with an SDK inside do.
func works(r release) string {
	if !r.marked("works") {
		return "an SDK, not a program"
	}
	return ""
}

func cases() []testCase { return append(loopbackCases(), doorCases()...) }

// loopbackCases are those of the door that is always there.
func loopbackCases() []testCase {
	return []testCase{
		{"first", "gets credentials, and STS says that they are the pod's role", false, first(loopback()), always},
		{"renewal", "sees renewed credentials without a restart, asking within its refresh window", false, renewal(loopback()), asks},
		{"window", "sees renewed credentials when its refresh window begins", true, renewalAtWindow, keeps},
		{"early", "asks before the sidecar has credentials", false, early, asks},
		{"recovery", "asks again after the sidecar has had none, and gets credentials", false, recovery, asks},
		{"restart", "outlives a restart of the sidecar", false, restart, asks},
		{"outage", "gets credentials while STS is down", false, outage, asks},
		{"token", "sends AWS_CONTAINER_AUTHORIZATION_TOKEN", false, authorization, asks},
		{"path", "asks at a capability path", false, capability, asks},
		{"localhost", "accepts http://localhost", false, uri("http://localhost:9911/v1/credentials"), asks},
		{"ipv6", "accepts http://[::1]", false, uri("http://[::1]:9911/v1/credentials"), asks},
		{"proxy", "passes by the proxy that HTTP_PROXY names", false, proxied(loopback()), asks},
		{"no_proxy", "the same with NO_PROXY", false, proxied(loopback(), "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost"), asks},
		{"outside", "requests for a thousand signing calls, before its refresh window", false, calls(time.Hour), keeps},
		{"inside", "the same within it", false, callsInside, keeps},
		{"work", "puts something into S3, and gets it back", false, work(loopback()), works},
		{"web_identity", "which wins if web identity is there too", false, webIdentity, always},
		{"unavailable", "what it does when the sidecar has none", false, unavailable(door{client: []string{fullURI + endpoint}}), always},
		{"no_metadata", "the same with AWS_EC2_METADATA_DISABLED", false, unavailable(loopback()), always},
	}
}

func authorization(t *trial) error {
	if err := t.serve("SIDECAR_AUTHORIZATION_TOKEN=a token"); err != nil {
		return err
	}
	if err := t.start(fullURI+endpoint, noMetadata, "AWS_CONTAINER_AUTHORIZATION_TOKEN=a token"); err != nil {
		return err
	}
	_, err := t.key()
	return err
}

func capability(t *trial) error {
	const path = "/v1/credentials/0f1e2d3c-uid"
	if err := t.serve("SIDECAR_PATH=" + path); err != nil {
		return err
	}
	return ask(t, fullURI+"http://127.0.0.1:9911"+path, noMetadata)
}

func uri(uri string) func(*trial) error {
	return func(t *trial) error {
		if err := t.serve(); err != nil {
			return err
		}
		return ask(t, fullURI+uri, noMetadata)
	}
}

func ask(t *trial, environment ...string) error {
	if err := t.start(environment...); err != nil {
		return err
	}
	_, err := t.key()
	return err
}

func proxied(d door, environment ...string) func(*trial) error {
	d.client = append(d.client, "HTTP_PROXY=http://"+proxy, "http_proxy=http://"+proxy, "HTTPS_PROXY=http://"+proxy, "https_proxy=http://"+proxy)
	d.client = append(d.client, environment...)
	return func(t *trial) error {
		if err := t.begin(d); err != nil {
			return err
		}
		_, err := t.key()
		if t.world.proxied.Load() > 0 {
			return verdict("asks the proxy")
		}
		return err
	}
}

// callsInside grants credentials that are within the refresh window from the
// first, but are not renewed while they are counted.
func callsInside(t *trial) error {
	if w := t.job.Release.Window; 0 < w && w < time.Minute {
		return calls(w - time.Second)(t)
	}
	return calls(time.Minute)(t)
}

// calls returns a case that counts the requests for a thousand signing calls.
func calls(lifetime time.Duration) func(*trial) error {
	return func(t *trial) error {
		const signing = 1000
		t.sts.SetGrantLifetime(lifetime)
		if err := t.serve(); err != nil {
			return err
		}
		before, err := t.served()
		if err != nil {
			return err
		}
		if err := t.start(fullURI+endpoint, noMetadata); err != nil {
			return err
		}
		a, err := t.say(fmt.Sprintf("sign %d", signing))
		if err == nil && a.Error != "" {
			err = verdict("fails")
		}
		if err != nil {
			return err
		}
		after, err := t.served()
		switch n := after - before; {
		case err != nil:
			return err
		case n == 0:
			return verdict("never")
		case n <= 2: // some ask twice at the start
			return verdict("once")
		case n >= signing*9/10:
			return verdict("at every call")
		default:
			return verdict("now and then")
		}
	}
}

func webIdentity(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	err := t.start(fullURI+endpoint, noMetadata, "AWS_ROLE_ARN="+webRole, "AWS_ROLE_SESSION_NAME=client",
		"AWS_WEB_IDENTITY_TOKEN_FILE="+t.world.volume.Path("token"))
	if err != nil {
		return err
	}
	key, err := t.key()
	if err != nil {
		return err
	}
	return verdict(t.roleOf(key))
}
