package main

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"time"

	"irsa-sidecar/test/standin"
)

// door is a way from an SDK to the sidecar.
type door struct {
	address string   // which the sidecar's link-local makes the pod's; empty: it has it
	sidecar []string // variables of the sidecar
	client  []string // variables of the program with the SDK
}

const ecsAddress, imdsAddress = "169.254.170.2", "169.254.169.254"

func loopback() door {
	return door{client: []string{fullURI + endpoint, noMetadata}}
}

func ecs() door {
	return door{ecsAddress, []string{"SIDECAR_ECS_LISTEN=" + ecsAddress + ":80"},
		[]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v1/credentials", noMetadata}}
}

// imds is the door for which a program needs no variable.
func imds(sidecar ...string) door {
	return door{imdsAddress, append(sidecar, "SIDECAR_IMDS_LISTEN="+imdsAddress+":80"), nil}
}

// doorCases are those of the doors that are off by default.
func doorCases() []testCase {
	v2 := imds("SIDECAR_IMDS_V1=false")
	return []testCase{
		{"ecs", "gets credentials at 169.254.170.2, and STS says that they are the pod's role", false, first(ecs()), always},
		{"ecs_renewal", "sees renewed ones there without a restart", true, renewal(ecs()), always},
		{"ecs_work", "puts something into S3, and gets it back, with credentials from there", false, work(ecs()), works},
		{"ecs_proxy", "passes by the proxy that HTTP_PROXY names on the way there", true, proxied(ecs()), always},
		{"ecs_no_proxy", "the same with NO_PROXY", true, proxied(ecs(), noProxy()...), always},
		{"imds", "gets credentials at 169.254.169.254, without any variable", false, first(imds()), always},
		{"imds_v2", "the same where a session token is required (`SIDECAR_IMDS_V1=false`)", false, first(v2), always},
		{"imds_renewal", "sees renewed ones there without a restart", true, renewal(imds()), extends},
		{"imds_work", "puts something into S3, and gets it back, with credentials from there", false, work(imds()), works},
		{"imds_v2_work", "the same where a session token is required", false, work(v2), works},
		{"imds_proxy", "passes by the proxy that HTTP_PROXY names on the way there", true, proxied(imds()), always},
		{"imds_no_proxy", "the same with NO_PROXY", true, proxied(imds(), noProxy()...), always},
		{"imds_unavailable", "what it does when the sidecar has none", false, unavailable(imds()), always},
	}
}

func noProxy() []string {
	return []string{"NO_PROXY=" + ecsAddress + "," + imdsAddress, "no_proxy=" + ecsAddress + "," + imdsAddress}
}

// extends is for credentials of an instance that end soon.
func extends(r release) string {
	if r.marked("extends") {
		return "it takes instance credentials that end soon as good for longer"
	}
	return ""
}

// open makes the address of a door the pod's, by the sidecar itself.
func (t *trial) open(d door) error {
	if d.address == "" {
		return nil
	}
	cmd := exec.CommandContext(t.ctx, t.job.Sidecar, "link-local", d.address)
	cmd.Env = []string{} // it needs nothing
	cmd.Stdout, cmd.Stderr = t.log, t.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sidecar link-local: %w", err)
	}
	t.address = d.address
	return nil
}

// close makes the address lead where it did before.
func (t *trial) close() error {
	if t.address == "" {
		return nil
	}
	return ip(nil, "addr del "+t.address+"/32 dev lo")
}

// begin has a sidecar that serves, and a client of it, at a door.
func (t *trial) begin(d door) error {
	if err := t.open(d); err != nil {
		return err
	}
	if err := t.serve(d.sidecar...); err != nil {
		return err
	}
	return t.start(d.client...)
}

// first asks STS whose credentials it has.
func first(d door) func(*trial) error {
	return func(t *trial) error {
		if err := t.begin(d); err != nil {
			return err
		}
		a, err := t.say("identity")
		switch {
		case err != nil:
			return err
		case a.Error != "":
			return t.refused()
		case a.ARN != t.sts.Credentials()[0].SessionARN:
			return fmt.Errorf("it is %q, not %q", a.ARN, t.sts.Credentials()[0].SessionARN)
		}
		return nil
	}
}

// refused returns what an SDK has whom STS does not know, or who did not ask it.
func (t *trial) refused() error {
	if _, err := t.key(); err != nil {
		return err
	}
	return verdict("fails")
}

// work has a program store something at S3, and compare what comes back. That S3
// takes any credentials; whose they were is what it was told in each request.
func work(d door) func(*trial) error {
	return func(t *trial) error {
		if err := t.begin(d); err != nil {
			return err
		}
		a, err := t.say("work")
		switch {
		case err != nil:
			return err
		case a.Error != "":
			return verdict("fails")
		}
		return t.signers()
	}
}

// signers returns an error unless all that was asked of S3 was asked with
// credentials of the sidecar.
func (t *trial) signers() error {
	signers := t.world.s3.seen()
	if len(signers) == 0 {
		return errors.New("nothing was asked of S3")
	}
	for _, s := range signers {
		if s.key == nodeKey {
			return verdict("the node's role")
		}
		if t.roleOf(s.key) != "sidecar" || !slices.ContainsFunc(t.sts.Credentials(), func(c standin.Credentials) bool {
			return c.AccessKeyID == s.key && c.SessionToken == s.token
		}) {
			return fmt.Errorf("a request was signed with the key %q, not with credentials of the sidecar", s.key)
		}
	}
	return nil
}

// unavailable tells what an SDK does when the sidecar has no credentials.
func unavailable(d door) func(*trial) error {
	return func(t *trial) error {
		if err := t.open(d); err != nil {
			return err
		}
		t.sts.Always(standin.Refuse(http.StatusForbidden, "AccessDenied", "Not authorized"))
		if err := t.startSidecar(d.sidecar...); err != nil {
			return err
		}
		if err := t.until(15*time.Second, "the sidecar does not listen", func() bool { return t.answers(endpoint) }); err != nil {
			return err
		}
		if err := t.start(d.client...); err != nil {
			return err
		}
		key, err := t.key()
		if err != nil {
			return err
		}
		return verdict(t.roleOf(key))
	}
}
