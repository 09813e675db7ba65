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
	// askTimeout bounds what is asked of one endpoint, which answers within half a second.
	askTimeout = 3 * time.Second

	// askAnswer bounds an answer: the token's characters may take six bytes each in
	// JSON, and STS may send 256 KiB.
	askAnswer = 2 << 20
)

// askContainer asks the container credentials or ECS endpoint for credentials as a client
// would, and returns why there are none.
func askContainer(ctx context.Context, cfg *config.Config, address string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	header := http.Header{}
	if cfg.AuthorizationToken != "" {
		header.Set("Authorization", cfg.AuthorizationToken)
	}
	err := askFor(ctx, "http://"+address+cfg.Path, header)
	return withoutSecrets(cfg, err)
}

// askInstance asks the instance metadata endpoint for credentials, with a session token.
func askInstance(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	const credentials = "/latest/meta-data/iam/security-credentials/"
	base := "http://" + cfg.Listen.IMDS.HostPort
	session, err := shortText(ctx, http.MethodPut, base+"/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return err
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {session}}
	role, err := shortText(ctx, http.MethodGet, base+credentials, header)
	if err != nil {
		return err
	}
	// Without the sidecar it may be the node's metadata service that answers there.
	if want := cfg.Role.Resource[strings.LastIndexByte(cfg.Role.Resource, '/')+1:]; role != want {
		return fmt.Errorf("another process than the sidecar answers: its role is %.64q, and the sidecar's is %q", role, want)
	}
	return withoutSecrets(cfg, askFor(ctx, base+credentials+url.PathEscape(role), header))
}

// shortText returns a short answer of the instance metadata endpoint.
func shortText(ctx context.Context, method, address string, header http.Header) (string, error) {
	resp, err := sendTo(ctx, method, address, header)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", otherProcess(resp)
	}
	return strings.TrimSpace(oneLine(string(body))), nil
}

// askFor returns why the answer has no credentials.
func askFor(ctx context.Context, address string, header http.Header) error {
	resp, err := sendTo(ctx, http.MethodGet, address, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, askAnswer))
	if err != nil {
		return otherProcess(resp)
	}
	// The instance metadata endpoint says in text why it has none.
	if why, ok := strings.CutPrefix(string(body), "CredentialsUnavailable: "); ok && resp.StatusCode != http.StatusOK {
		return errors.New(oneLine(strings.TrimSpace(why)))
	}
	var answer struct{ AccessKeyID, Message string } // JSON keys match in any case: AccessKeyId, message
	err = json.Unmarshal(body, &answer)
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && answer.AccessKeyID != "":
		return nil
	case err == nil && resp.StatusCode != http.StatusOK && answer.Message != "":
		return errors.New(oneLine(answer.Message))
	}
	return otherProcess(resp)
}

// sendTo sends a request to an endpoint of this pod.
func sendTo(ctx context.Context, method, address string, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, errors.New("its address is not one")
	}
	r.Header = header
	r.Header.Set("User-Agent", "irsa-sidecar") // irsa_sidecar_clients_total is about others
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
		return nil, fmt.Errorf("the sidecar does not answer: %w", err)
	}
	return resp, nil
}

func otherProcess(resp *http.Response) error {
	return fmt.Errorf("another process than the sidecar answers on %s: HTTP %d", resp.Request.URL.Host, resp.StatusCode)
}

// withoutSecrets drops an error that repeats what was sent, which may be from another
// process than the sidecar.
func withoutSecrets(cfg *config.Config, err error) error {
	if err == nil || (cfg.AuthorizationToken == "" || !strings.Contains(err.Error(), cfg.AuthorizationToken)) &&
		(cfg.HasDefaultPath() || !strings.Contains(err.Error(), cfg.Path)) {
		return err
	}
	return errors.New("another process than the sidecar answers: it repeats the path or the authorization token")
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
