package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"irsa-sidecar/test/harness"
)

// program is a running program with an old AWS SDK: see test/legacyclient.
type program struct {
	questions io.WriteCloser
	answers   io.ReadCloser
	identity  identity // in the last answer
}

// identity is the program's answer.
type identity struct {
	ARN   string
	Key   string // the end of the access key id
	Error string
}

func (d *demo) startProgram(ctx context.Context) error {
	p := &d.program
	cmd := command(d.binary(programName), d.stsURL)
	cmd.Env = []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + d.sidecar.url,
		"AWS_REGION=" + region,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	cmd.Stderr = os.Stderr
	var err1, err2 error
	p.questions, err1 = cmd.StdinPipe()
	p.answers, err2 = cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.ends = append(d.ends, func() error {
		defer time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() }).Stop()
		p.questions.Close() // makes it exit
		return cmd.Wait()
	})
	d.say("Its whole environment (its SDK does not support web identity or token files):")
	for _, variable := range cmd.Env {
		d.say("%s", variable)
	}
	return d.checkIdentity(ctx)
}

// checkIdentity checks the program's identity against what STS has granted.
func (d *demo) checkIdentity(ctx context.Context) error {
	got, err := d.program.ask(ctx)
	if err != nil {
		return err
	}
	want, err := d.session(got.Key)
	if err != nil {
		return err
	}
	if got.ARN != want {
		return fmt.Errorf("the program's identity: want %s, got %s", want, got.ARN)
	}
	if !endsWith(d.keysFor(d.token), got.Key) {
		return fmt.Errorf("the program's access key: want one that was granted for the token, got ...%s", got.Key)
	}
	d.say("its identity is %s, its access key ...%s", got.ARN, got.Key)
	return nil
}

// awaitRenewal asks the running program once a second until it has credentials that
// STS granted for the current token.
func (d *demo) awaitRenewal(ctx context.Context) error {
	before := d.program.identity
	start, asked := time.Now(), 0
	var failures []error
	err := harness.Await(ctx, time.Second, 20*time.Second, func(ctx context.Context) error {
		asked++
		now, err := d.program.ask(ctx)
		if err == nil && d.stable(now.ARN) != d.stable(before.ARN) {
			err = fmt.Errorf("the program's identity: want %s, got %s", before.ARN, now.ARN)
		}
		if err != nil {
			failures = append(failures, err)
			return err
		}
		if !endsWith(d.keysFor(d.token), now.Key) {
			return fmt.Errorf("the program's access key: want one that was granted for the new token, got ...%s", now.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(failures) > 0 {
		return fmt.Errorf("want no errors in %d answers, got %d: %w", asked, len(failures), errors.Join(failures...))
	}
	if refused := d.refused(); len(refused) > 0 {
		return fmt.Errorf("requests for credentials: want all granted, got %s", strings.Join(refused, ", "))
	}
	d.say("asked %d times in %s: no error, always the same role", asked, time.Since(start).Round(100*time.Millisecond))
	d.say("its access key changed from ...%s to ...%s, which was granted for the new token", before.Key, d.program.identity.Key)
	return nil
}

// ask asks the program for its AWS identity.
func (p *program) ask(ctx context.Context) (identity, error) {
	// A program that does not answer is useless: closing answers ends the wait.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { p.answers.Close() })()
	if _, err := io.WriteString(p.questions, "\n"); err != nil {
		return identity{}, fmt.Errorf("asking the program: %w", err)
	}
	var got identity
	if err := json.NewDecoder(p.answers).Decode(&got); err != nil {
		return identity{}, fmt.Errorf("reading the program's answer: %w", err)
	}
	if got.Error != "" {
		return identity{}, fmt.Errorf("the program got an error: %s", got.Error)
	}
	p.identity = got
	return got, nil
}

// endsWith reports whether one of the keys ends with end.
func endsWith(keys []string, end string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return strings.HasSuffix(key, end) })
}
