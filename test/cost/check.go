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

// checker tells whether the answers that one client gets, one after the other,
// are of use to it.
type checker struct {
	expiration func(body []byte) (time.Time, error) // as that of a target

	body    []byte // of the last answer that was
	expires time.Time
}

// check returns why an answer that came now is a loss, nil if it is none.
func (c *checker) check(status int, body []byte, now time.Time) error {
	if status != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", status, body)
	}
	expires := c.expires
	fresh := c.body == nil || !bytes.Equal(body, c.body) // else it has been looked at
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
		return fmt.Errorf("credentials that expire at %s, after ones that do at %s", expires.Format(time.RFC3339), c.expires.Format(time.RFC3339))
	case fresh:
		c.body, c.expires = bytes.Clone(body), expires
	}
	return nil
}

// issuedExpiration returns when the credentials in body end, which must be
// whole and among those that STS has issued.
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
	return time.Time{}, errors.New("credentials that STS has not issued, or not as a whole")
}

// kilobyteExpiration is that of the bare server's answers, far away.
func kilobyteExpiration(body []byte) (time.Time, error) {
	if len(body) != 1<<10 {
		return time.Time{}, fmt.Errorf("%d bytes instead of a kilobyte", len(body))
	}
	return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC), nil
}
