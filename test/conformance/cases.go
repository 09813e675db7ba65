package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// testCase is a column of the table.
type testCase struct {
	name  string
	title string // explains the column to a reader of the table
	slow  bool   // not in --quick
	run   func(*trial) error
	skip  func(release) string // returns why the case does not apply, or ""
}

func (c testCase) limit(r release) time.Duration {
	if c.slow || r.marked("heavy") {
		return 15 * time.Minute
	}
	return 90 * time.Second
}

// quick reports whether --quick runs the case with a release. Those that are marked
// pod_identity alone run nothing else.
func (c testCase) quick(r release) bool {
	if isPodIdentity := c.name == "agent" || c.name == "pod_identity"; isPodIdentity {
		return r.marked("pod_identity") || !r.marked("quick")
	}
	return !c.slow && (r.marked("quick") || !r.marked("pod_identity"))
}

// works reports whether the case uses the S3 server.
func (c testCase) works() bool { return strings.Contains(c.name, "work") }

// records reports whether --record runs the case: those that send all kinds of requests,
// and no others, because the rest is repetition.
func (c testCase) records() bool {
	switch c.name {
	case "identity", "token", "localhost", "ipv6", "ecs", "imds", "imds_v2", "imds_region":
		return true
	}
	return strings.HasSuffix(c.name, "work")
}

// notices reports whether the case is one of those that are to notice a sidecar that is
// wrong. Others ask in other ways, and take what they get no more seriously.
func (c testCase) notices() bool {
	switch c.name {
	case "identity", "renewal", "ecs", "imds", "work", "ecs_work", "imds_work":
		return true
	}
	return false
}

// reason returns why the case does not apply to a release, or "".
func (c testCase) reason(r release) string {
	if r.marked("program") && !c.works() {
		return "this program runs only the work cases"
	}
	if r.marked("fetches") && !c.fetches() {
		return "this program is only asked whose credentials it gets"
	}
	return c.skip(r)
}

// fetches reports whether the case is one of those for programs that only get credentials.
func (c testCase) fetches() bool {
	switch c.name {
	case "identity", "web_identity", "no_metadata", "ecs", "ecs_unavailable", "imds", "imds_v2":
		return true
	}
	return false
}

const (
	fullURI    = "AWS_CONTAINER_CREDENTIALS_FULL_URI="
	noMetadata = "AWS_EC2_METADATA_DISABLED=true"
)

// always skips nothing.
func always(release) string { return "" }

// needsFullURI skips releases that do not support a full URI.
func needsFullURI(r release) string {
	if r.marked("no_uri") {
		return "does not support a full URI"
	}
	return ""
}

// needsCache skips releases that cannot cache credentials between requests.
func needsCache(r release) string {
	if r.marked("oneshot") {
		return "one process per request"
	}
	return needsFullURI(r)
}

func cases() []testCase {
	return slices.Concat(loopbackCases(), podIdentityCases(), linkLocalCases())
}

// loopbackCases are the cases of the endpoint that is always on.
func loopbackCases() []testCase {
	return []testCase{
		{"identity", "gets credentials, and STS confirms that they are the pod's role", false, identity(loopback()), always},
		{"renewal", "gets renewed credentials without a restart, by asking within its refresh window", false, renewal(loopback()), needsFullURI},
		{"renewal_at_window", "gets renewed credentials when its refresh window begins", true, renewalAtWindow, needsCache},
		{"before_ready", "asks before the sidecar has credentials, and gets them", false, beforeReady, needsFullURI},
		{"recovery", "after an error, asks again and gets credentials once the sidecar has some", false, recovery, needsFullURI},
		{"restart", "survives a restart of the sidecar", false, restart, needsFullURI},
		{"outage", "gets credentials while STS is down", false, outage, needsFullURI},
		{"token", "sends AWS_CONTAINER_AUTHORIZATION_TOKEN", false, authorization, needsFullURI},
		{"path", "uses the capability path in the URI", false, capability, needsFullURI},
		{"localhost", "accepts http://localhost", false, uri("http://localhost:9911/v1/credentials"), needsFullURI},
		{"ipv6", "accepts http://[::1]", false, uri("http://[::1]:9911/v1/credentials"), needsFullURI},
		{"proxy", "bypasses the proxy in HTTP_PROXY", false, proxied(loopback()), needsFullURI},
		{"no_proxy", "the same, with NO_PROXY set", false, proxied(loopback(), "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost"), needsFullURI},
		{"requests_before_window", "how often a thousand signing calls ask the sidecar, before the refresh window", false, requests(time.Hour), needsCache},
		{"requests_in_window", "the same, within the refresh window", false, requestsInWindow, needsCache},
		{"work", "stores an object in S3 and reads it back", false, work(loopback()), needsProgram},
		{"work_unavailable", "the same, when the sidecar has no credentials", false, workUnavailable(loopback()), needsProgram},
		{"work_renewal", "works again when the credentials that it used have expired (at another endpoint, if it does not support a full URI)", true, workRenewal, needsLasting},
		{"work_web_identity", "whose credentials it works with if web identity is configured too (likewise)", true, workWebIdentity, needsProgram},
		{"web_identity", "which credentials it uses if web identity is configured too", false, webIdentity, always},
		{"unavailable", "what it does when the sidecar has no credentials", false, unavailable(endpoint{name: "container", client: []string{fullURI + credentialsURL}}), always},
		{"no_metadata", "the same, with AWS_EC2_METADATA_DISABLED", false, unavailable(loopback()), always},
	}
}

func authorization(t *trial) error {
	if err := t.serve("SIDECAR_AUTHORIZATION_TOKEN=a token"); err != nil {
		return err
	}
	if err := t.start(fullURI+credentialsURL, noMetadata, "AWS_CONTAINER_AUTHORIZATION_TOKEN=a token"); err != nil {
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

func proxied(e endpoint, environment ...string) func(*trial) error {
	e.client = append(e.client, "HTTP_PROXY=http://"+proxy, "http_proxy=http://"+proxy, "HTTPS_PROXY=http://"+proxy, "https_proxy=http://"+proxy)
	e.client = append(e.client, environment...)
	return func(t *trial) error {
		if err := t.begin(e); err != nil {
			return err
		}
		_, err := t.key()
		if t.world.proxied.Load() > 0 {
			return verdict("uses the proxy")
		}
		return err
	}
}

// requestsInWindow grants credentials that are within the refresh window from the
// start, and that the sidecar does not renew while requests are counted.
func requestsInWindow(t *trial) error {
	if w := t.job.Release.Window; 0 < w && w < time.Minute {
		return requests(w - time.Second)(t)
	}
	return requests(time.Minute)(t)
}

// requests returns a case that counts the requests to the sidecar that a thousand
// signing calls cause.
func requests(lifetime time.Duration) func(*trial) error {
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
		if err := t.start(fullURI+credentialsURL, noMetadata); err != nil {
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
		case n <= 2: // some releases ask twice at the start
			return verdict("once")
		case n >= signing*9/10:
			return verdict("at every call")
		default:
			return verdict("sometimes")
		}
	}
}

func webIdentity(t *trial) error {
	if err := t.serve(); err != nil {
		return err
	}
	if err := t.start(append(t.world.webIdentityOfClient(), fullURI+credentialsURL, noMetadata)...); err != nil {
		return err
	}
	key, err := t.key()
	if err != nil {
		return err
	}
	return verdict(t.roleOf(key))
}
