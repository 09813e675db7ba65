package check

import (
	"errors"
	"strings"
	"testing"
)

// Where only some users may have credentials, the kernel must say who asks.
func TestUsers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		first string
	}{
		{nil, "ok endpoints"},
		{errors.New("protocol not supported"), "FAIL endpoints only some users may have credentials, and this kernel does not say which user a client is: protocol not supported"},
	} {
		s := healthy(t)
		s.Users = func() error { return tt.err }
		var got []string
		for _, r := range results(t, s) {
			if r.Step == "endpoints" {
				got = append(got, r.all())
			}
		}
		if len(got) == 0 || !strings.HasPrefix(got[0], tt.first) {
			t.Errorf("with %v: got %q, want %q", tt.err, got, tt.first)
		}
	}
}
