package check

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/test/standin"
)

// Each broken token is named in the first line that fails.
func TestTokens(t *testing.T) {
	t.Parallel()
	good := standin.NewIssuer("https://issuer.example").Token(standin.Claims{IssuedAt: now.Add(-time.Minute)})
	encode := base64.RawURLEncoding.EncodeToString
	signed := func(header, claims string) string {
		return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 256))
	}
	issue := func(c standin.Claims) string {
		if c.IssuedAt.IsZero() {
			c.IssuedAt = now.Add(-time.Minute)
		}
		return standin.NewIssuer("https://issuer.example").Token(c)
	}
	const rs = `{"alg":"RS256"}`
	tests := []struct {
		name, jwt string
		want      string // begins with the step
		advice    string
	}{
		{name: "empty", jwt: " \n", want: "token file: ", advice: "its mode is -rw-------, its owner user"},
		{name: "no JWT", jwt: "hello", want: "token file: "},
		{name: "cut in the claims", jwt: good[:len(good)/3], want: "token file: "},
		{name: "cut in the signature", jwt: good[:len(good)-6], want: "token file: PATH: the token is cut off"},
		{name: "of a secret", jwt: signed(rs, `{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:a:b"}`), want: "claims: the token has no claim aud", advice: "projected volume"},
		{name: "symmetric", jwt: signed(`{"alg":"HS256"}`, `{}`), want: `token file: PATH: the token's algorithm is "HS256"`},
		{name: "no header", jwt: signed(`[]`, `{}`), want: "token file: PATH: the header is not"},
		{name: "claims are no object", jwt: signed(rs, `[]`), want: "claims: claims are not"},
		{name: "of the API server", jwt: issue(standin.Claims{Audience: "https://kubernetes.default.svc"}), want: "claims: the token is for the API server itself", advice: "serviceAccountToken in the pod's volume to sts.amazonaws.com"},
		{name: "of the issuer", jwt: issue(standin.Claims{Audience: "https://issuer.example"}), want: "claims: the token is for the API server itself"},
		{name: "for pod identity", jwt: issue(standin.Claims{Audience: "pods.eks.amazonaws.com"}), want: "claims: the token is for pods.eks.amazonaws.com"},
		{name: "expired", jwt: issue(standin.Claims{IssuedAt: now.Add(-2 * time.Hour)}), want: "claims: the token expired 1h ago, at 2026-11-28T11:00:00Z", advice: "subPath"},
		{name: "from the future", jwt: issue(standin.Claims{IssuedAt: now.Add(10 * time.Minute)}), want: "claims: the token is valid only in 10m (iat 2026-11-28T12:10:00Z", advice: "clock of the node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := healthy(t)
			s.holds(t, tt.jwt)
			r := firstFailure(t, s)
			got := strings.ReplaceAll(r.Step+": "+r.Text, s.TokenFile, "PATH")
			if !strings.HasPrefix(got, tt.want) || !strings.Contains(strings.Join(r.Advice, " "), tt.advice) {
				t.Errorf("got %s", r.all())
			}
			if jwt := strings.TrimSpace(tt.jwt); len(jwt) > 20 && strings.Contains(r.all(), jwt[len(jwt)-20:]) {
				t.Errorf("the token is in %s", r.all())
			}
		})
	}
}

// What is allowed, and worth saying.
func TestRemarks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		claims standin.Claims
		want   string
	}{
		{"another audience", standin.Claims{Audience: "sts.example", IssuedAt: now}, "ok claims system:serviceaccount:default:app for sts.example, issued by https://issuer.example, expires in 1h; the client IDs of the IAM OIDC provider must have this audience; pod app-6d4b75cb6d-hx2vk on node ip-10-0-1-23.ec2.internal, jti "},
		{"China", standin.Claims{Audience: "sts.amazonaws.com.cn", IssuedAt: now}, "ok claims system:serviceaccount:default:app for sts.amazonaws.com.cn, issued by https://issuer.example, expires in 1h; pod"},
		{"a clock that is slightly slow", standin.Claims{IssuedAt: now.Add(30 * time.Second)}, "warn claims the token is valid only in 30s"},
		{"not replaced", standin.Claims{IssuedAt: now.Add(-55 * time.Minute)}, "warn claims the token is from 2026-11-28T11:05:00Z and expires in 5m: the kubelet should have replaced it"},
		{"a day old", standin.Claims{IssuedAt: now.Add(-26 * time.Hour), Lifetime: 1000 * time.Hour}, "warn claims the token is from "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := healthy(t)
			s.holds(t, standin.NewIssuer("https://issuer.example").Token(tt.claims))
			if r := of(t, s, "claims"); !strings.HasPrefix(r.all(), tt.want) {
				t.Errorf("got %s", r.all())
			}
		})
	}
}

func TestNotReadable(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.ReadToken = func() ([]byte, error) { return nil, errNotReadable }
	if r := firstFailure(t, s); r.Step != "token file" || r.Text != "/t is not readable for user id 9911: set fsGroup in the pod's securityContext" || !strings.Contains(r.all(), "; this process is user ") {
		t.Errorf("got %s", r.all())
	}
}

// A mount by subPath is one of the file itself, or of the directory that the kubelet has
// written the token to.
func TestSubPath(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	directory := filepath.Dir(s.TokenFile)
	line := func(root, point string) string {
		return "36 35 98:0 " + root + " " + strings.ReplaceAll(point, " ", `\040`) + " ro,relatime - tmpfs tmpfs rw\n"
	}
	base := line("/", "/") + "garbage\n"
	for name, tt := range map[string]struct {
		table string
		want  Status
	}{
		"volume":                 {base + line("/", directory), OK},
		"volume on disk":         {base + line("/pods/x/volumes/kubernetes.io~projected/token", directory), OK},
		"subPath of the file":    {base + line("/..2026_11_28_11_59_00.1/token", s.TokenFile), Failed},
		"file":                   {base + line("/token", s.TokenFile), Failed},
		"subPath of a directory": {base + line("/..2026_11_28_11_59_00.1/dir", directory), Failed},
		"another file":           {base + line("/..2026_11_28_11_59_00.1/other", directory+"/other"), OK},
		"mounted again":          {base + line("/..2026_11_28_11_59_00.1/dir", directory) + line("/", directory), OK},
		"similar name":           {base + line("/..2026_11_28_11_59_00.1/dir", directory[:len(directory)-1]), OK},
		"no mounts can be read":  {"", OK},
	} {
		if err := os.MkdirAll(filepath.Join(s.Proc, "self"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Proc, "self/mountinfo"), []byte(tt.table), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := of(t, s, "token file"); r.Status != tt.want || r.Status == Failed && !strings.Contains(r.Text, "subPath") {
			t.Errorf("%s: %s", name, r.all())
		}
	}
}

func TestUnescape(t *testing.T) {
	if got := unescape(`/a\040b\134c`); got != `/a b\c` {
		t.Errorf("got %q", got)
	}
}

func TestRole(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Policy, s.Policies = `{"Version":"2012-10-17"}`, 2
	if r := of(t, s, "role"); r.Text != "role/team/app in account 111122223333, partition aws; region eu-west-1; session pod-1 for 1h; restricted by a session policy of 24 characters and 2 managed policies" {
		t.Errorf("got %s", r.all())
	}
	s.Region, s.Partition = "cn-north-1", "aws-cn"
	if r := firstFailure(t, s); r.Step != "role" || !strings.HasPrefix(r.Text, "the role is in the partition aws, and the region cn-north-1 in the partition aws-cn") {
		t.Errorf("got %s", r.all())
	}
	s.Role = arn.ARN{}
	if r := of(t, s, "role"); r.Status != Skipped {
		t.Errorf("got %s", r.all())
	}
}
