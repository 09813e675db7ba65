package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"time"

	"irsa-sidecar/test/standin"
)

// endpoint is a way for an SDK to reach the sidecar.
type endpoint struct {
	name    string
	address string   // the address that link-local adds to the pod; empty: none is needed
	sidecar []string // environment of the sidecar
	client  []string // environment of the program with the SDK
}

const ecsAddress, imdsAddress = "169.254.170.2", "169.254.169.254"

func loopback() endpoint {
	return endpoint{name: "container", client: []string{fullURI + credentialsURL, noMetadata}}
}

func ecs() endpoint {
	return endpoint{"ecs", ecsAddress, []string{"SIDECAR_ECS_LISTEN=" + ecsAddress + ":80"},
		[]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v1/credentials", noMetadata}}
}

// imds is the endpoint that needs no variable in the program's environment.
func imds(sidecar ...string) endpoint {
	return endpoint{"imds", imdsAddress, append(sidecar, "SIDECAR_IMDS_LISTEN="+imdsAddress+":80", "SIDECAR_ZONE="+region+"a"), nil}
}

// endpoint returns the one that serves a release: another one if it does not support a full
// URI.
func (r release) endpoint() endpoint {
	switch {
	case r.marked("no_uri"):
		return imds()
	case r.marked("ecs_only"):
		return ecs()
	}
	return loopback()
}

// linkLocalCases are the cases of the endpoints that are off by default.
func linkLocalCases() []testCase {
	v2 := imds("SIDECAR_IMDS_V1=false")
	return []testCase{
		{"ecs", "gets credentials at 169.254.170.2, and STS confirms that they are the pod's role", false, identity(ecs()), always},
		{"ecs_renewal", "gets renewed credentials there without a restart", true, renewal(ecs()), always},
		{"ecs_work", "stores an object in S3 and reads it back, with credentials from there", false, work(ecs()), needsProgram},
		{"ecs_work_unavailable", "the same, when the sidecar has no credentials", false, workUnavailable(ecs()), needsProgram},
		{"ecs_unavailable", "what a program that only gets credentials does there when the sidecar has none", false, unavailable(ecs()), needsFetching},
		{"ecs_proxy", "bypasses the proxy in HTTP_PROXY for that address", true, proxied(ecs()), always},
		{"ecs_no_proxy", "the same, with NO_PROXY set", true, proxied(ecs(), noProxy()...), always},
		{"imds", "gets credentials at 169.254.169.254, with no variable set", false, identity(imds()), always},
		{"imds_v2", "the same, when a session token is required (`SIDECAR_IMDS_V1=false`)", false, identity(v2), always},
		{"imds_renewal", "gets renewed credentials there without a restart", true, renewal(imds()), needsExpiration},
		{"imds_work", "stores an object in S3 and reads it back, with credentials from there", false, work(imds()), needsProgram},
		{"imds_v2_work", "the same, when a session token is required", false, work(v2), needsProgram},
		{"imds_proxy", "bypasses the proxy in HTTP_PROXY for that address", true, proxied(imds()), always},
		{"imds_no_proxy", "the same, with NO_PROXY set", true, proxied(imds(), noProxy()...), always},
		{"imds_region", "finds the region there, with the node's zone in `SIDECAR_ZONE`", false, findsRegion, needsQuestion},
		{"imds_unavailable", "what it does when the sidecar has no credentials", false, unavailable(imds()), always},
	}
}

func noProxy() []string {
	return []string{"NO_PROXY=" + ecsAddress + "," + imdsAddress, "no_proxy=" + ecsAddress + "," + imdsAddress}
}

// needsExpiration skips releases that extend instance credentials that expire soon.
func needsExpiration(r release) string {
	if r.marked("extends") {
		return "extends instance credentials that expire soon"
	}
	return ""
}

// open adds the address of an endpoint to the pod, with the sidecar's own link-local
// command.
func (t *trial) open(e endpoint) error {
	if e.address == "" {
		return nil
	}
	cmd := exec.CommandContext(t.ctx, t.job.Sidecar, "link-local", e.address)
	cmd.Env = []string{} // link-local needs no variables
	cmd.Stdout, cmd.Stderr = t.log, t.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sidecar link-local: %w", err)
	}
	t.address = e.address
	var err error
	t.between, err = t.world.between(e.name, e.address+":80", e.address+tappedLinkLocal)
	return err
}

// close removes the address from the pod.
func (t *trial) close() error {
	if t.address == "" {
		return nil
	}
	if t.between != nil {
		t.between.Close()
	}
	return ip(nil, "addr del "+t.address+"/32 dev lo")
}

// begin starts a sidecar that serves at an endpoint, and a client that uses it.
func (t *trial) begin(e endpoint) error {
	if err := t.open(e); err != nil {
		return err
	}
	if err := t.serve(e.sidecar...); err != nil {
		return err
	}
	return t.start(e.client...)
}

// identity checks that the client has the sidecar's credentials: it has the client call
// GetCallerIdentity. A client that sends such a request to somebody else, who would send
// it to STS, returns the key and the session token in it instead.
func identity(e endpoint) func(*trial) error {
	return func(t *trial) error {
		if err := t.begin(e); err != nil {
			return err
		}
		a, err := t.say("identity")
		switch {
		case err != nil:
			return err
		case a.Error != "":
			return t.refused()
		case a.Token != "":
			return t.granted(a.Key, a.Token)
		case a.ARN != t.sts.Credentials()[0].SessionARN:
			return fmt.Errorf("the client has the identity %q, not %q", a.ARN, t.sts.Credentials()[0].SessionARN)
		}
		return nil
	}
}

// refused returns the verdict for an SDK whose GetCallerIdentity call failed.
func (t *trial) refused() error {
	if _, err := t.key(); err != nil {
		return err
	}
	return verdict("fails")
}

// granted returns an error unless STS has granted these credentials to the sidecar.
func (t *trial) granted(key, token string) error {
	if key == nodeKey {
		return verdict("the node's role")
	}
	if t.roleOf(key) != "sidecar" || !slices.ContainsFunc(t.sts.Credentials(), func(c standin.Credentials) bool {
		return c.AccessKeyID == key && c.SessionToken == token
	}) {
		return fmt.Errorf("a request was signed with the key %q, not with credentials of the sidecar", key)
	}
	return nil
}

// findsRegion checks that a client finds the region at the metadata service.
func findsRegion(t *trial) error {
	if err := t.begin(imds()); err != nil {
		return err
	}
	a, err := t.say("region")
	switch {
	case err != nil:
		return err
	case a.Error != "":
		return verdict("fails")
	case a.Region != region:
		return fmt.Errorf("the client has the region %q", a.Region)
	}
	return nil
}

// needsQuestion skips releases whose drivers have no such question.
func needsQuestion(r release) string {
	if r.marked("region") {
		return ""
	}
	return "the driver does not ask for the region"
}

// unavailable returns a case that records what an SDK does when the sidecar has no
// credentials.
func unavailable(e endpoint) func(*trial) error {
	return func(t *trial) error {
		if err := t.beginWithout(e); err != nil {
			return err
		}
		key, err := t.key()
		if err != nil {
			return err
		}
		return verdict(t.roleOf(key))
	}
}

// beginWithout starts a sidecar that has no credentials, and a client.
func (t *trial) beginWithout(e endpoint) error {
	if err := t.open(e); err != nil {
		return err
	}
	t.sts.Always(standin.Refuse(http.StatusForbidden, "AccessDenied", "Not authorized"))
	if err := t.startSidecar(e.sidecar...); err != nil {
		return err
	}
	if err := t.until(15*time.Second, "the sidecar is not listening", func() bool { return t.answers(credentialsURL) }); err != nil {
		return err
	}
	return t.start(e.client...)
}
