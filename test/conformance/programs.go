package main

import (
	"errors"
	"time"
)

// Cases about what programs do with their credentials.

// work has a program store an object in S3, read it back and compare the two, or as much
// with another service. The store refuses credentials that are not the sidecar's.
func work(e endpoint) func(*trial) error {
	return func(t *trial) error {
		if err := t.begin(e); err != nil {
			return err
		}
		return t.work()
	}
}

// workUnavailable has a program do that while the sidecar has no credentials.
func workUnavailable(e endpoint) func(*trial) error {
	return func(t *trial) error {
		if err := t.beginWithout(e); err != nil {
			return err
		}
		err := t.work()
		if err == nil {
			return errors.New("the program had credentials of the sidecar before STS granted any")
		}
		return err
	}
}

// workWebIdentity records whose credentials a program works with if web identity is
// configured, too.
func workWebIdentity(t *trial) error {
	e := t.job.Release.endpoint()
	e.client = append(e.client, t.world.webIdentityOfClient()...)
	if err := t.begin(e); err != nil {
		return err
	}
	if err := t.work(); err != nil {
		return err
	}
	return verdict("sidecar")
}

// workRenewal has a program work, and again when the credentials that it used have expired.
func workRenewal(t *trial) error {
	t.sts.SetGrantLifetime(30 * time.Second)
	if err := t.begin(t.job.Release.endpoint()); err != nil {
		return err
	}
	if err := t.work(); err != nil {
		return err
	}
	used := t.sts.Credentials()
	time.Sleep(time.Until(used[len(used)-1].Expiration))
	return t.work()
}

// work has the program work, and returns what its requests were signed with.
func (t *trial) work() error {
	t.world.s3.reset()
	a, err := t.say("work")
	// Whose credentials it used says more than how it ended.
	used := t.world.s3.verdict(err != nil || a.Error != "")
	if err != nil && errors.Is(used, verdict("fails")) {
		return err
	}
	return used
}

// needsProgram skips plain SDKs: only programs store data in S3.
func needsProgram(r release) string {
	if !r.marked("works") {
		return "an SDK, not a program"
	}
	return ""
}

// needsLasting skips programs that exit when they have worked.
func needsLasting(r release) string {
	switch {
	case r.marked("oneshot"):
		return "one process per request"
	case r.marked("polls"):
		return "asks again after a fixed time, longer than this case"
	}
	return needsProgram(r)
}

// needsFetching skips what stores data in S3, and plain SDKs.
func needsFetching(r release) string {
	if !r.marked("fetches") {
		return "not a program that is only asked whose credentials it gets"
	}
	return ""
}
