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
	// readyTimeout bounds one question: the door answers within half a second.
	readyTimeout = 3 * time.Second

	// readyPeriod is how often the probe asks while it waits.
	readyPeriod = 250 * time.Millisecond
)

// ready asks the sidecar's own door as a client would, again and again for as
// long as it may wait, until it answers with credentials. If it does not, ready
// prints the latest reason in one line and returns a notReadyError.
func ready(ctx context.Context, cfg *config, stdout io.Writer) error {
	deadline := time.Now().Add(cfg.wait)
	tick := time.NewTicker(readyPeriod)
	defer tick.Stop()
	for {
		reason := ask(ctx, cfg)
		if reason == nil {
			return nil
		}
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			fmt.Fprintln(stdout, reason) // where else could a failure be told?
			return notReadyError{}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func ask(ctx context.Context, cfg *config) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.listen.loopback.String()+cfg.guard.Path, nil)
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
	return fmt.Errorf("something else than the sidecar answers on %s: HTTP %d", cfg.listen.loopback, resp.StatusCode)
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
