package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	// readyTimeout is how long the probe waits for credentials. STS mostly gives
	// them within that, so that probes can be seldom: each that fails is an event,
	// of which a pod has 25, and then one in five minutes
	// (k8s.io/client-go/tools/record, defaultSpamBurst).
	readyTimeout = 3 * time.Second
	readyPeriod  = 250 * time.Millisecond
)

// ready asks the sidecar's own door as a client would, until it answers with
// credentials. If it does not do so for three seconds, ready prints the reason
// in one line and returns a notReadyError.
func ready(ctx context.Context, cfg *config, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPeriod)
	defer tick.Stop()
	var reason error
	for ctx.Err() == nil {
		err := ask(ctx, cfg)
		if err == nil {
			return nil
		}
		if reason == nil || ctx.Err() == nil { // what the end of ctx has cut off says nothing
			reason = err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if _, err := fmt.Fprintln(stdout, reason); err != nil {
		return err
	}
	return notReadyError{}
}

func ask(ctx context.Context, cfg *config) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.listen.String()+cfg.guard.Path, nil)
	if err != nil {
		return err
	}
	if cfg.guard.Authorization != nil {
		r.Header.Set("Authorization", cfg.guard.Authorization.Token())
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		// Its URL has the path, which may be a secret.
		if urlErr, ok := errors.AsType[*url.Error](err); ok {
			err = urlErr.Err
		}
		return fmt.Errorf("the sidecar does not answer: %w", err)
	}
	defer resp.Body.Close()
	var answer struct{ AccessKeyID, Message string } // AccessKeyId too: the case does not matter
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && answer.AccessKeyID != "":
		return nil
	case err == nil && resp.StatusCode != http.StatusOK && answer.Message != "":
		return errors.New(oneLine(answer.Message))
	}
	return fmt.Errorf("something else than the sidecar answers on %s: HTTP %d", cfg.listen, resp.StatusCode)
}

// oneLine makes a text of who knows whom fit for the events of a pod.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
