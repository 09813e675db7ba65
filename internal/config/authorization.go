package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxTokenLength is the limit of keyAuthorizationToken: the token must fit into the headers
// that the server reads.
const maxTokenLength = 4096

// maxTokenFileSize leaves room for white space around the longest token.
const maxTokenFileSize = 2 * maxTokenLength

// RefreshPath is where the command Refresh asks for new credentials.
const RefreshPath = "/v1/refresh"

// path returns where credentials are served. It may be a secret: no error repeats it.
func (l *loader) path() string {
	value := l.value(keyPath)
	if !matches(pathRule, value) || len(value) > l.settings[keyPath].most() {
		l.fail(keyPath, "is not a path such as /v1/credentials: it must start with a slash and have only letters, digits and -._~ between single slashes, at most %s in all (if it has a $(NAME) that was not replaced, define NAME before it)", l.settings[keyPath].limit)
	}
	if strings.TrimSuffix(value, "/") == RefreshPath {
		l.fail(keyPath, "is where the command refresh asks: use another path")
	}
	return strings.TrimSuffix(value, "/")
}

// authorization returns the token that clients must send, and the file that it is from.
func (l *loader) authorization() (token, file string) {
	value, file := l.value(keyAuthorizationToken), l.file(keyAuthorizationTokenFile)
	var err error
	switch {
	case value != "" && file != "":
		l.fail(keyAuthorizationTokenFile, "mutually exclusive with %s", l.settings[keyAuthorizationToken].name())
	case value != "":
		if token, err = checkToken(value); err != nil {
			l.fail(keyAuthorizationToken, "%v", err)
		}
	case file != "":
		if token, err = ReadAuthorizationToken(l.read, file); err != nil {
			l.fail(keyAuthorizationTokenFile, "%v", err)
		}
	}
	return token, file
}

// ReadAuthorizationToken reads the token that clients must send from a file. Its errors
// repeat neither the token nor the name of the file.
func ReadAuthorizationToken(read ReadFile, file string) (string, error) {
	raw, err := read(file, maxTokenFileSize)
	if err != nil {
		return "", err
	}
	return checkToken(string(raw))
}

// checkToken removes white space around a token. Its error says why the token cannot be
// sent in a header: several SDKs refuse one with a line break, and one of them ends its
// process (aws-sdk for JavaScript 2).
func checkToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	if token == "" {
		return "", errors.New("the token is empty")
	}
	if len(token) > maxTokenLength {
		return "", fmt.Errorf("the token has %d bytes, the maximum is %d", len(token), maxTokenLength)
	}
	for _, c := range []byte(token) {
		if c < ' ' || c > '~' {
			return "", errors.New("the token may hold printable ASCII characters only")
		}
	}
	return token, nil
}

// checkProxies checks the proxy variables, which net/http reads itself: at every call it
// would repeat a malformed one, including the password.
func (l *loader) checkProxies() {
	for variable := range strings.FieldsSeq(proxyVariables) {
		value := l.getenv(variable)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") { // net/http also accepts HOST:PORT
			value = "http://" + value
		}
		u, err := url.Parse(value)
		if err != nil || u.Hostname() == "" || !isPort(u.Port()) || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
			l.problems = append(l.problems, variable+": is not the URL of a proxy, such as http://HOST:PORT")
		}
	}
}
