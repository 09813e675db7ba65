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

	"irsa-sidecar/internal/config"
)

const (
	// readyTimeout bounds one request: the endpoint answers within half a second.
	readyTimeout = 3 * time.Second

	// readyPeriod is the time between requests while ready waits.
	readyPeriod = 250 * time.Millisecond

	// readyAnswer bounds an answer: the token's characters may take six bytes each in
	// JSON, and STS may send 256 KiB.
	readyAnswer = 2 << 20
)

// ready asks the container credentials endpoint as a client would, until it answers with
// credentials or cfg.Wait is over. Then it prints the latest reason in one line and
// returns a notReadyError.
func ready(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	deadline := time.Now().Add(cfg.Wait)
	tick := time.NewTicker(readyPeriod)
	defer tick.Stop()
	for {
		reason := ask(ctx, cfg)
		if reason == nil {
			return nil
		}
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			fmt.Fprintln(stdout, reason) // a failure cannot be reported anywhere
			return notReadyError{}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func ask(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.Listen.Loopback.HostPort+cfg.Path, nil)
	if err != nil {
		return err
	}
	if cfg.AuthorizationToken != "" {
		r.Header.Set("Authorization", cfg.AuthorizationToken)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		// Without its URL: that has the path, which may be a secret.
		if urlErr, ok := errors.AsType[*url.Error](err); ok {
			err = urlErr.Err
		}
		return fmt.Errorf("the sidecar does not answer: %w", err)
	}
	defer resp.Body.Close()
	var answer struct{ AccessKeyID, Message string } // JSON keys match in any case: AccessKeyId, message
	err = json.NewDecoder(io.LimitReader(resp.Body, readyAnswer)).Decode(&answer)
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && answer.AccessKeyID != "":
		return nil
	case err == nil && resp.StatusCode != http.StatusOK && answer.Message != "":
		return errors.New(oneLine(answer.Message))
	}
	return fmt.Errorf("another process than the sidecar answers on %s: HTTP %d", cfg.Listen.Loopback.HostPort, resp.StatusCode)
}

// oneLine makes a text fit for the events of a pod, whoever it is from.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
