package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"irsa-sidecar/test/standin"
)

// checker checks the answers that one client gets, one after the other.
type checker struct {
	expiration func(body []byte) (time.Time, error) // see target

	body    []byte // of the last good answer
	expires time.Time
}

// check returns an error if an answer received now counts as lost.
func (c *checker) check(status int, body []byte, now time.Time) error {
	if status != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", status, body)
	}
	expires := c.expires
	fresh := c.body == nil || !bytes.Equal(body, c.body) // otherwise it has been parsed already
	if fresh {
		var err error
		if expires, err = c.expiration(body); err != nil {
			return err
		}
	}
	switch {
	case !expires.After(now):
		return fmt.Errorf("credentials that expired at %s", expires.Format(time.RFC3339))
	case expires.Before(c.expires):
		return fmt.Errorf("credentials that expire at %s, after others that expire at %s", expires.Format(time.RFC3339), c.expires.Format(time.RFC3339))
	case fresh:
		c.body, c.expires = bytes.Clone(body), expires
	}
	return nil
}

// issuedExpiration returns the expiration of the credentials in body, which must
// be a complete set that STS has issued.
func issuedExpiration(body []byte, issued []standin.Credentials) (time.Time, error) {
	var got struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return time.Time{}, fmt.Errorf("no credentials: %w", err)
	}
	for _, c := range issued {
		if got.AccessKeyID == c.AccessKeyID && got.SecretAccessKey == c.SecretAccessKey &&
			got.Token == c.SessionToken && got.Expiration.Equal(c.Expiration) {
			return c.Expiration, nil
		}
	}
	return time.Time{}, errors.New("not a set of credentials that STS has issued")
}

// kilobyteExpiration checks an answer of the bare server, which never expires.
func kilobyteExpiration(body []byte) (time.Time, error) {
	if len(body) != 1<<10 {
		return time.Time{}, fmt.Errorf("%d bytes instead of a kilobyte", len(body))
	}
	return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC), nil
}
