package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

const (
	role   = "arn:aws:iam::111122223333:role/demo"
	region = "eu-west-1"
	issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"

	// grantLifetime replaces the usual hour. The sidecar renews after 50 to 65 % of
	// it, here 6 to 9 s, and never within 5 s.
	grantLifetime = 13 * time.Second

	// agentLifetime is longer, because the agent hands out nothing with 15 s left.
	agentLifetime = 18 * time.Second
)

// demo is the state that the steps build up.
type demo struct {
	out    io.Writer
	dir    string                  // for all files
	done   int                     // steps that another process has done
	abort  context.CancelCauseFunc // stops the demo
	ends   []func() error          // stop what was started, in reverse order
	built  string                  // a sidecar, in place of one that the demo builds
	issuer *standin.Issuer
	sts    *standin.STS
	stsURL string

	podIdentity bool
	agent       *standin.Agent // with podIdentity

	volume  *standin.Volume
	token   string // published last
	sidecar sidecar
	program program
}

// end stops everything that is still running.
func (d *demo) end() error {
	var errs []error
	for _, end := range slices.Backward(d.ends) {
		errs = append(errs, end())
	}
	d.ends = nil
	return errors.Join(errs...)
}

// The names of the programs that are built.
const (
	sidecarName = "sidecar"
	programName = "legacyclient"
)

// binary returns the path of a program.
func (d *demo) binary(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) build(ctx context.Context) error {
	for _, b := range []struct{ name, source string }{
		{sidecarName, "cmd/sidecar"},
		// A separate module, so that nothing else has to download that SDK.
		{programName, "test/legacyclient"},
	} {
		if b.name == sidecarName && d.built != "" {
			built, err := filepath.Abs(d.built)
			if err != nil {
				return err
			}
			if err := os.Symlink(built, d.binary(sidecarName)); err != nil {
				return err
			}
			d.say("took %s", d.built)
			continue
		}
		start := time.Now()
		if err := harness.Build(ctx, d.binary(b.name), b.source); err != nil {
			return err
		}
		d.say("built %s in %s", b.name, time.Since(start).Round(100*time.Millisecond))
	}
	return nil
}

func (d *demo) startAWS(context.Context) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.issuer = standin.NewIssuer(issuer)
	d.sts = standin.NewSTS(d.issuer)
	d.sts.AddRole(standin.Role{ARN: role, Namespace: "default", ServiceAccount: "app"})
	d.sts.SetGrantLifetime(grantLifetime)
	d.stsURL = "http://" + ln.Addr().String()
	d.serve(ln, d.sts)
	d.say("STS at %s has the role %s", d.stsURL, role)
	if d.podIdentity {
		return d.startAgent()
	}
	d.say("the role trusts system:serviceaccount:default:app; credentials live for %s instead of an hour", grantLifetime)
	return nil
}

// startAgent starts the EKS Pod Identity agent. STS knows the credentials that it grants.
func (d *demo) startAgent() error {
	if err := addAgentAddress(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "169.254.170.23:80")
	if err != nil {
		return err
	}
	d.agent = standin.NewAgent(d.issuer, d.sts, role)
	d.agent.SetSessions(agentLifetime, 0)
	d.serve(ln, d.agent)
	d.say("the EKS Pod Identity agent is at %s", standin.AgentURL)
	d.say("system:serviceaccount:default:app is associated with the role; credentials live for %s instead of 6 hours", agentLifetime)
	return nil
}

// serve serves until the demo ends.
func (d *demo) serve(ln net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(ln)
	d.ends = append(d.ends, server.Close)
}

func (d *demo) publishFirst(context.Context) error {
	d.volume = standin.NewVolume(filepath.Join(d.dir, "serviceaccount"))
	return d.publish()
}

// publish publishes a new token, and checks that a container sees it.
func (d *demo) publish() error {
	claims := standin.Claims{Namespace: "default", ServiceAccount: "app"}
	if d.podIdentity {
		claims.Audience = standin.AgentAudience
	}
	d.token = d.issuer.Token(claims)
	if err := d.volume.Publish("token", d.token); err != nil {
		return err
	}
	seen, err := os.ReadFile(d.volume.Path("token"))
	if err != nil {
		return err
	}
	if string(seen) != d.token {
		return fmt.Errorf("%s: want the published token, got %d other bytes", d.volume.Path("token"), len(seen))
	}
	data, err := os.Readlink(d.volume.Path("..data"))
	if err != nil {
		return err
	}
	d.say("token -> ..data/token, and ..data -> %s, which is new", data)
	return nil
}

// rotate replaces the token and waits for the sidecar to notice.
func (d *demo) rotate(ctx context.Context) error {
	const changes = "irsa_sidecar_token_changes_total"
	if err := d.sidecar.wantMetric(ctx, changes, 0); err != nil {
		return err
	}
	if err := d.publish(); err != nil {
		return err
	}
	start := time.Now()
	err := harness.Await(ctx, 50*time.Millisecond, 5*time.Second, func(ctx context.Context) error {
		return d.sidecar.wantMetric(ctx, changes, 1)
	})
	if err != nil {
		return err
	}
	d.say("the sidecar noticed within %s: its metric %s went from 0 to 1", time.Since(start).Round(10*time.Millisecond), changes)
	return nil
}

// keep keeps the demo running and replaces the token every minute, until ctx is done
// or an hour is over.
func (d *demo) keep(ctx context.Context) error {
	d.sts.SetGrantLifetime(0)
	d.say("From the next renewal on, credentials live for an hour. The token is replaced every")
	d.say("minute. The sidecar's log is %s. In another shell:", d.sidecar.log)
	fmt.Fprintf(d.out, hints, d.sidecar.url, region, d.stsURL, d.sidecar.admin)
	hour, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-hour.Done():
			if d.sidecar.exited() {
				return context.Cause(ctx)
			}
			return nil
		case now := <-tick.C:
			d.say("%s: replacing the token", now.Format(time.TimeOnly))
			if err := d.publish(); err != nil {
				return err
			}
		}
	}
}

const hints = `
   # An SDK uses the first credentials that it finds: make sure that it finds no others.
   unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE
   export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_CONFIG_FILE=/dev/null
   # The environment of a container in the sidecar's pod:
   export AWS_CONTAINER_CREDENTIALS_FULL_URI=%[1]s AWS_REGION=%[2]s AWS_DEFAULT_REGION=%[2]s AWS_EC2_METADATA_DISABLED=true
   aws --endpoint-url %[3]s sts get-caller-identity
   # The response to its SDK, and the sidecar's metrics:
   curl -i %[1]s
   curl http://%[4]s/metrics

`
