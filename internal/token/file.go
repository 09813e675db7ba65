// Package token reads the projected service account token of a pod and reports when the
// kubelet has replaced it.
//
// It exists because the kubelet publishes a token in a way that is easily missed: it
// never writes the file, but renames a symbolic link two steps away.
package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Code is the ErrorCode of errors of GetIdentityToken.
const Code = "token"

// maxLength is the longest WebIdentityToken that STS accepts, in characters:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
// Nobody says how long one for EKS Pod Identity may be; it has the same claims.
const maxLength = 20_000

// maxFileSize leaves room for white space around the longest token.
const maxFileSize = maxLength + 1_000

// File is the path of a projected service account token. It implements
// stscreds.IdentityTokenRetriever and is safe for concurrent use.
type File string

// GetIdentityToken reads the token from the disk, at every call: the kubelet replaces it,
// and a copy that is kept for long has expired.
//
// It returns what the file holds, without white space around it, if that can be a token:
// a JWT in compact form (RFC 7519, three base64url segments) of at most 20,000
// characters. Whether it is a good one is for the receiver to judge. Otherwise the error says what
// is wrong and what to do, never what the file holds; its ErrorCode is Code.
func (f File) GetIdentityToken() ([]byte, error) {
	raw, err := f.read()
	if err != nil {
		return nil, &fileError{file: f, err: err}
	}
	return raw, nil
}

func (f File) read() ([]byte, error) {
	raw, err := ReadFile(string(f), maxFileSize)
	if err != nil {
		return nil, explain(err)
	}
	raw = bytes.TrimSpace(raw)
	if err := plausible(raw); err != nil {
		return nil, fmt.Errorf("%w: %s", err, advice)
	}
	return raw, nil
}

// advice is what to do about a file that does not hold a token.
const advice = "name a file that the kubelet writes, from a projected volume with a serviceAccountToken source"

// explain turns an error of ReadFile into one that says what to do.
func explain(err error) error {
	switch {
	case errors.Is(err, errNotRegular):
		return fmt.Errorf("%w: name the file in the projected volume, not its directory", err)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("does not exist: mount a projected volume with a serviceAccountToken source there (audience sts.amazonaws.com, for EKS Pod Identity pods.eks.amazonaws.com), or correct the setting")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("is not readable for user id %d: set fsGroup in the pod's securityContext", os.Getuid())
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		err = fmt.Errorf("cannot be read: %w", err)
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// plausible returns why raw cannot be a token, nil if it can.
func plausible(raw []byte) error {
	if len(raw) == 0 {
		return errors.New("is empty")
	}
	if len(raw) > maxLength {
		return fmt.Errorf("holds %d characters, at most %d are accepted", len(raw), maxLength)
	}
	segments := bytes.Split(raw, []byte("."))
	if len(segments) != 3 {
		return fmt.Errorf("does not hold a JWT: it has %d segments separated by dots, a JWT has 3", len(segments))
	}
	for i, segment := range segments {
		if _, err := decodeSegment(segment); err != nil || len(segment) == 0 {
			return fmt.Errorf("does not hold a JWT: segment %d is not base64url", i+1)
		}
	}
	return nil
}

// decodeSegment decodes base64url without padding, the encoding of RFC 7515.
func decodeSegment(segment []byte) ([]byte, error) {
	// The decoder skips line breaks, which no token has.
	if bytes.ContainsAny(segment, "\r\n") {
		return nil, errors.New("line break")
	}
	return base64.RawURLEncoding.AppendDecode(nil, segment)
}

// fileError says why a file has no usable token.
type fileError struct {
	file File
	err  error
}

func (e *fileError) Error() string { return e.ErrorMessage() }
func (e *fileError) Unwrap() error { return e.err }

// ErrorCode returns Code.
func (e *fileError) ErrorCode() string { return Code }

// ErrorMessage says which file, what is wrong with it and what to do.
func (e *fileError) ErrorMessage() string {
	return fmt.Sprintf("token file %s %v", string(e.file), e.err)
}
