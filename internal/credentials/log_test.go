package credentials

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestLogHasEventsAndNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) {
			if call == 0 {
				return granted(time.Hour), nil
			}
			return denied()
		})
		sleep(2 * time.Hour)
		log := l.log.String()
		for _, want := range []string{
			`"level":"INFO","msg":"asking for the first credentials"`,
			`"level":"INFO","msg":"credentials refreshed"`,
			`"level":"WARN","msg":"refresh failed","code":"AccessDenied","error":"Not authorized"`,
			`"level":"ERROR","msg":"refresh failed"`, // once the credentials have expired
		} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s", want)
			}
		}
		for _, secret := range []string{`"secret"`, `"session"`, "ASIA"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log contains %s", secret)
			}
		}
	})
}

// If no attempt failed, only this log line explains why there are no credentials.
func TestExpiryWithoutAFailureIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, nil)
		l.skew.Store(int64(2 * time.Hour))
		sleep(30 * time.Second)
		if !strings.Contains(l.log.String(), `"level":"WARN","msg":"credentials have expired","expiration":"2000-01-01T01:00:00Z"`) {
			t.Errorf("log: %s", l.log.String())
		}
	})
}

func TestShortLivedCredentialsAreWarnedAboutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, func(ctx context.Context, call int) (aws.Credentials, error) { return granted(44 * time.Minute), nil })
		sleep(3 * time.Hour)
		if n := strings.Count(l.log.String(), "credentials are short-lived"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, &l.log)
		}
	})
}
