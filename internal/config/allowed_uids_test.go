package config

import (
	"strings"
	"testing"
)

// A list of user ids is exactly that, or an error that says which entry is wrong. None
// admits more than it says.
func TestWrongAllowedUIDs(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"a user by name", "root", "entry 1 is not a user id"},
		{"a range of users", "1000-1002", "entry 1 is not"},
		{"a negative user id", "1000,-1", "entry 2 is not"},
		{"a user id with a sign", "+1000", "entry 1 is not"},
		{"spaces between user ids", "1000, 1001", "entry 2 is not"},
		{"user ids separated by spaces", "1000 1001", "entry 1 is not"},
		{"an octal user id", "01000", "entry 1 is not"},
		{"a hexadecimal user id", "0x3e8", "entry 1 is not"},
		{"no user id", "1000,,1001", "entry 2 is not"},
		{"a comma at the end", "1000,", "entry 2 is not"},
		{"the user id that means none", "4294967295", "entry 1 is not a user id, a number from 0 to 4294967294"},
		{"a user id beyond 32 bits", "4294968296", "entry 1 is not"},
		{"a user id beyond 64 bits", "18446744073709552616", "entry 1 is not"},
		{"everybody in words", "*", "entry 1 is not"},
		{"a user id twice", "1000,1001,1000", "entry 3 repeats an earlier one"},
		{"nothing but a comma", ",", "entry 1 is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := webhook()
			env["SIDECAR_ALLOWED_UIDS"] = tt.value
			_, err := load(nil, env)
			if err == nil || !strings.Contains(err.Error(), "--allowed-uids (SIDECAR_ALLOWED_UIDS): "+tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
