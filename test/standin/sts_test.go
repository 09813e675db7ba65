package standin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"irsa-sidecar/test/standin"
)

func TestAssumeRoleRefuses(t *testing.T) {
	s := newService(t)
	s.AddRole(standin.Role{ARN: "arn:aws:iam::111122223333:role/other-audience", Audience: "vault"})
	set := func(name, value string) func(url.Values) {
		return func(form url.Values) { form.Set(name, value) }
	}
	token := func(c standin.Claims) func(url.Values) { return set("WebIdentityToken", s.issuer.Token(c)) }
	good := s.issuer.Token(standin.Claims{})
	signed := strings.Split(good, ".")
	const long = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"

	tests := []struct {
		name    string
		edit    func(url.Values)
		request func(*http.Request)
		status  int
		code    string
		want    string // the message, or its prefix if it ends in …
	}{
		{"wrong method", nil, func(r *http.Request) { r.Method = http.MethodPut }, 405, "MethodNotAllowed", "PUT is not allowed here, use POST"},
		{"wrong path", nil, func(r *http.Request) { r.URL.Path = "/sts" }, 404, "UnknownOperationException", "nothing at the path /sts"},
		{"parameters in the URL", nil, func(r *http.Request) { r.URL.RawQuery = "Version=2011-06-15" }, 400, "InvalidQueryParameter", "parameters belong in the body, not in the URL"},
		{"no content type", nil, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "UnsupportedMediaType", "the content type is \"\"…"},
		{"JSON content type", nil, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415, "UnsupportedMediaType", "the content type is \"application/json\"…"},
		{"malformed body", nil, func(r *http.Request) { setBody(r, "Action=AssumeRoleWithWebIdentity&a=%zz") }, 404, "MalformedQueryString", "The query string contains a syntax error"},
		{"no action", func(f url.Values) { f.Del("Action") }, nil, 400, "MissingAction", "Missing Action"},
		{"other action", set("Action", "AssumeRole"), nil, 400, "InvalidAction", "Could not find operation AssumeRole for version 2011-06-15"},
		{"no version", func(f url.Values) { f.Del("Version") }, nil, 400, "NoSuchVersion", "The requested version () of service AWSSecurityTokenService does not exist"},
		{"other version", set("Version", "2011-06-16"), nil, 400, "NoSuchVersion", "The requested version (2011-06-16) of service AWSSecurityTokenService does not exist"},
		{"duplicate parameter", func(f url.Values) { f.Add("RoleArn", appRole) }, nil, 400, "InvalidQueryParameter", "the parameter RoleArn was given 2 times"},
		{"unknown parameter", set("DurationSecond", "900"), nil, 400, "InvalidQueryParameter", "AssumeRoleWithWebIdentity has no parameter DurationSecond here"},
		{"provider id", set("ProviderId", "www.amazon.com"), nil, 400, "InvalidQueryParameter", "AssumeRoleWithWebIdentity has no parameter ProviderId here"},
		{"signed", nil, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=") }, 403, "InvalidClientTokenId", "AssumeRoleWithWebIdentity must not be signed…"},
		{"sent with a session token", nil, func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, 403, "InvalidClientTokenId", "AssumeRoleWithWebIdentity must not be signed…"},

		{"no role", func(f url.Values) { f.Del("RoleArn") }, nil, 400, "ValidationError", "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null"},
		{"short role", set("RoleArn", "app-role"), nil, 400, "ValidationError", "1 validation error detected: Value 'app-role' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		{"long role", set("RoleArn", appRole+strings.Repeat("x", 2048)), nil, 400, "ValidationError", "1 validation error detected: Value '" + appRole + "x…"},
		{"not a role ARN", set("RoleArn", "arn:aws:iam::111122223333:user/app"), nil, 400, "ValidationError", "Request ARN is invalid"},
		{"unknown role", set("RoleArn", appRole+"s"), nil, 403, "AccessDenied", denied},
		{"no session name", func(f url.Values) { f.Del("RoleSessionName") }, nil, 400, "ValidationError", "1 validation error detected: Value null at 'roleSessionName' failed…"},
		{"short session name", set("RoleSessionName", "x"), nil, 400, "ValidationError", "1 validation error detected: Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{"long session name", set("RoleSessionName", long), nil, 400, "ValidationError", "1 validation error detected: Value '" + long + "' at 'roleSessionName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"invalid session name", set("RoleSessionName", "a/b"), nil, 400, "ValidationError", `1 validation error detected: Value 'a/b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{"short duration", set("DurationSeconds", "899"), nil, 400, "ValidationError", "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		{"long duration", set("DurationSeconds", "43201"), nil, 400, "ValidationError", "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		{"duration above the role's", set("DurationSeconds", "3601"), nil, 400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{"invalid duration", set("DurationSeconds", "1h"), nil, 400, "MalformedInput", "DurationSeconds is not a whole number: '1h'"},
		{"two violations", func(f url.Values) { f.Set("DurationSeconds", "1"); f.Set("RoleSessionName", "x") }, nil, 400, "ValidationError", "2 validation errors detected: Value 'x' at 'roleSessionName'…"},

		{"no token", func(f url.Values) { f.Del("WebIdentityToken") }, nil, 400, "ValidationError", "1 validation error detected: Value null at 'webIdentityToken'…"},
		{"short token", set("WebIdentityToken", "x.y"), nil, 400, "ValidationError", "1 validation error detected: Value 'x.y' at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4"},
		{"long token", set("WebIdentityToken", good+strings.Repeat("x", 20000)), nil, 400, "ValidationError", "1 validation error detected: Value 'ey…"},
		{"not a JWT", set("WebIdentityToken", "opaque"), nil, 400, "InvalidIdentityToken", notAJWT},
		{"two segments", set("WebIdentityToken", signed[0]+"."+signed[1]), nil, 400, "InvalidIdentityToken", notAJWT},
		{"token with a newline", set("WebIdentityToken", good+"\n"), nil, 400, "InvalidIdentityToken", notAJWT},
		{"unsigned token", set("WebIdentityToken", "eyJhbGciOiJub25lIn0."+signed[1]+"."), nil, 400, "InvalidIdentityToken", notAJWT},
		{"unknown issuer", set("WebIdentityToken", standin.NewIssuer("https://elsewhere.example").Token(standin.Claims{})), nil, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://elsewhere.example"},
		{"empty issuer", set("WebIdentityToken", standin.NewIssuer("").Token(standin.Claims{})), nil, 400, "InvalidIdentityToken", "Missing a required claim: iss"},
		{"unknown key", set("WebIdentityToken", s.issuer.WithNewKey().Token(standin.Claims{})), nil, 400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"},
		{"signature of another token", set("WebIdentityToken", signed[0]+"."+strings.Split(s.issuer.Token(standin.Claims{}), ".")[1]+"."+signed[2]), nil, 400, "InvalidIdentityToken", "The web identity token that was passed could not be validated by AWS…"},
		{"audience not registered", token(standin.Claims{Audience: "https://kubernetes.default.svc"}), nil, 400, "InvalidIdentityToken", "Incorrect token audience"},
		{"audience not in the trust policy", set("RoleArn", "arn:aws:iam::111122223333:role/other-audience"), nil, 403, "AccessDenied", denied},
		{"expired", token(standin.Claims{IssuedAt: time.Unix(1731091640, 0)}), nil, 400, "ExpiredTokenException", "Token expired: current date/time 17…"},
		{"not yet valid", token(standin.Claims{IssuedAt: time.Now().Add(6 * time.Minute)}), nil, 400, "InvalidIdentityToken", "The web identity token is not valid yet"},
		{"other namespace", token(standin.Claims{Namespace: "kube-system"}), nil, 403, "AccessDenied", denied},
		{"other service account", token(standin.Claims{ServiceAccount: "default"}), nil, 403, "AccessDenied", denied},

		{"policy is not JSON", set("Policy", "{"), nil, 400, "MalformedPolicyDocument", "This policy contains invalid Json"},
		{"policy without statement", set("Policy", "{}"), nil, 400, "MalformedPolicyDocument", "Syntax errors in policy."},
		{"long policy", set("Policy", strings.Repeat(" ", 2049)), nil, 400, "ValidationError", "1 validation error detected: Value ' …"},
		{"invalid policy ARN", set("PolicyArns.member.1.arn", "ReadOnlyAccess"), nil, 400, "ValidationError", "ARN ReadOnlyAccess is not valid."},
		{"policy ARN 11", set("PolicyArns.member.11.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), nil, 400, "ValidationError", "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{"policy ARN 2 alone", set("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), nil, 400, "MalformedInput", "PolicyArns.member is numbered with gaps"},
		{"misspelt policy ARN", set("PolicyArns.member.1.Arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"), nil, 400, "InvalidQueryParameter", "AssumeRoleWithWebIdentity has no parameter PolicyArns.member.1.Arn here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form := s.form()
			if tt.edit != nil {
				tt.edit(form)
			}
			req := s.request(t, form)
			if tt.request != nil {
				tt.request(req)
			}
			before := len(s.Requests())
			status, got := refusal(t, req)
			if status != tt.status || got.Code != tt.code || got.Type != "Sender" {
				t.Errorf("got %d %s %s: %s, want %d Sender %s", status, got.Type, got.Code, got.Message, tt.status, tt.code)
			}
			if begin, cut := strings.CutSuffix(tt.want, "…"); got.Message != tt.want && !(cut && strings.HasPrefix(got.Message, begin)) {
				t.Errorf("message %q, want %q", got.Message, tt.want)
			}
			for _, r := range s.Requests()[before:] {
				if r.Outcome != tt.code {
					t.Errorf("recorded outcome %q, want %q", r.Outcome, tt.code)
				}
			}
		})
	}
	if issued := s.Credentials(); len(issued) != 0 {
		t.Errorf("%d credentials issued to refused requests", len(issued))
	}
}

func TestAssumeRoleAccepts(t *testing.T) {
	s := newService(t)
	s.AddRole(standin.Role{ARN: "arn:aws-cn:iam::444455556666:role/long", Namespace: "shop", ServiceAccount: "till", Audience: "sts.cn-north-1.amazonaws.com.cn", MaxDuration: 12 * time.Hour})
	start := time.Now()
	out, err := s.client(nil).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String("arn:aws-cn:iam::444455556666:role/long"),
		RoleSessionName:  aws.String("shop.till"),
		DurationSeconds:  aws.Int32(43200),
		Policy:           aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`),
		WebIdentityToken: aws.String(s.issuer.Token(standin.Claims{Namespace: "shop", ServiceAccount: "till", Audience: "sts.cn-north-1.amazonaws.com.cn"})),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"ARN", *out.AssumedRoleUser.Arn, `arn:aws-cn:sts::444455556666:assumed-role/long/shop\.till`},
		{"role id", *out.AssumedRoleUser.AssumedRoleId, `AROA[A-Z2-7]{17}:shop\.till`},
		{"audience", *out.Audience, `sts\.cn-north-1\.amazonaws\.com\.cn`},
		{"subject", *out.SubjectFromWebIdentityToken, "system:serviceaccount:shop:till"},
		{"provider", *out.Provider, "arn:aws-cn:iam::444455556666:oidc-provider/" + regexp.QuoteMeta(strings.TrimPrefix(issuerURL, "https://"))},
		{"access key id", *out.Credentials.AccessKeyId, "ASIA[A-Z2-7]{16}"},
		{"secret access key", *out.Credentials.SecretAccessKey, "[A-Za-z0-9+/]{40}"},
		{"session token", *out.Credentials.SessionToken, "[A-Za-z0-9+/]{900}"},
	} {
		if !regexp.MustCompile("^" + tt.want + "$").MatchString(tt.got) {
			t.Errorf("%s %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if got := out.Credentials.Expiration.Sub(start); got < 12*time.Hour-time.Second || got > 12*time.Hour+time.Minute || out.Credentials.Expiration.Nanosecond() != 0 {
		t.Errorf("expiration in %v, want whole seconds in twelve hours", got)
	}
	if got := s.Requests(); len(got) != 1 || got[0].Outcome != "" || got[0].Form.Get("RoleSessionName") != "shop.till" ||
		got[0].Claims == nil || got[0].Claims.Subject != "system:serviceaccount:shop:till" {
		t.Errorf("recorded %+v", got)
	}
}

func TestCredentialsWork(t *testing.T) {
	s := newService(t)
	s.SetSessionTokenLength(3000)
	creds, err := s.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(creds.SessionToken) != 3000 {
		t.Errorf("session token of %d characters, want 3000", len(creds.SessionToken))
	}
	if issued := s.Credentials(); len(issued) != 1 || issued[0].SecretAccessKey != creds.SecretAccessKey {
		t.Errorf("issued %d credentials, want those returned", len(issued))
	}
	provider := credentials.StaticCredentialsProvider{Value: creds}
	out, err := s.client(provider).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*out.Arn, "arn:aws:sts::111122223333:assumed-role/app-role/") || *out.Account != "111122223333" ||
		!strings.HasPrefix(*out.UserId, "AROA") {
		t.Errorf("got %s, %s, %s", *out.Arn, *out.Account, *out.UserId)
	}
}

func TestSettings(t *testing.T) {
	s := newService(t)
	s.SetGrantLifetime(5 * time.Second)
	start := time.Now()
	creds, err := s.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := creds.Expires.Sub(start); d < 4*time.Second || d > time.Minute {
		t.Errorf("granted %v, want 5s", d)
	}

	s.SetClock(func() time.Time { return time.Now().Add(2 * time.Hour) })
	if _, err := s.retrieve(t.Context()); codeOf(err) != "ExpiredTokenException" {
		t.Errorf("two hours later: %v, want ExpiredTokenException", err)
	}
	s.SetClock(nil)

	s.SetIssuers(s.issuer.WithNewKey())
	if _, err := s.retrieve(t.Context()); codeOf(err) != "InvalidIdentityToken" {
		t.Errorf("after the key was rotated: %v, want InvalidIdentityToken", err)
	}
	s.SetIssuers(s.issuer.WithNewKey(), s.issuer)
	if _, err := s.retrieve(t.Context()); err != nil {
		t.Errorf("while both keys are published: %v", err)
	}
}

func TestConcurrency(t *testing.T) {
	s := newService(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			s.SetGrantLifetime(time.Duration(n+2) * time.Minute)
			s.SetSessionTokenLength(100 * (n + 1))
			s.AddRole(standin.Role{ARN: appRole})
			s.Next(nil)
			if _, err := s.retrieve(t.Context()); err != nil {
				t.Error(err)
			}
			s.Requests()
		})
	}
	wg.Wait()
	if got := len(s.Credentials()); got != 8 {
		t.Errorf("issued %d credentials, want 8", got)
	}
}
