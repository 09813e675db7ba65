package standin

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// Service is whose STS is imitated.
type Service int

// The two others are S3-compatible stores. In both, a call is granted or refused as by AWS;
// the ARNs of roles, the answers and the errors are their own. They read no PolicyArns.
//
// MinIO: https://github.com/minio/minio/blob/master/docs/sts/web-identity.md,
// cmd/sts-handlers.go, cmd/sts-datatypes.go, internal/arn/arn.go,
// internal/config/identity/openid/jwt.go.
//
// Ceph Object Gateway: https://docs.ceph.com/en/latest/radosgw/STS/,
// src/rgw/rgw_rest_sts.cc, rgw_sts.cc, rgw_rest.cc.
const (
	AWS Service = iota
	MinIO
	Ceph
)

var (
	minIORoleARN    = regexp.MustCompile(`^arn:minio:iam:[\w-]*::role/[A-Za-z0-9][\w/.-]*$`)
	cephRoleARN     = regexp.MustCompile(`^arn:aws:iam::(\w*):role/((?:[\w+=,.@-]+/)*[\w+=,.@-]+)$`)
	cephSessionName = regexp.MustCompile(`^[\w=,.@-]+$`)
)

// Imitate sets whose STS this is.
func (s *STS) Imitate(service Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.service = service
}

func (s *STS) imitated() Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.service
}

// roleARN matches the ARNs of roles.
func (s Service) roleARN() *regexp.Regexp {
	return map[Service]*regexp.Regexp{AWS: roleARN, MinIO: minIORoleARN, Ceph: cephRoleARN}[s]
}

// check refuses parameters that only AWS has.
func (s Service) check(form url.Values) error {
	if s == AWS {
		return nil
	}
	for name := range form {
		if policyParam.MatchString(name) {
			return refusef(http.StatusBadRequest, "ValidationError", "PolicyArns are not read")
		}
	}
	if s == Ceph && !cephSessionName.MatchString(form.Get("RoleSessionName")) {
		return refusef(http.StatusBadRequest, "ValidationError", "Role session name is incorrect")
	}
	return nil
}

// refusal returns the error with which the service refuses what AWS refuses with err.
func (s Service) refusal(err error) error {
	e, ok := errors.AsType[*refusal](err)
	switch {
	case s == AWS || !ok:
		return err
	case s == MinIO:
		return &refusal{http.StatusBadRequest, "InvalidParameterValue", e.message}
	case e.code == "ValidationError":
		return &refusal{http.StatusBadRequest, "InvalidArgument", ""}
	}
	return &refusal{http.StatusForbidden, "AccessDenied", ""}
}

type compatibleRoleUser struct {
	ARN string `xml:"Arn"`
	ID  string `xml:"AssumeRoleId"` // not AssumedRoleId
}

type minIOResponse struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Result  struct {
		AssumedRoleUser compatibleRoleUser // both are empty
		Credentials     struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			Expiration      string
			SessionToken    string
		}
		Subject string `xml:"SubjectFromWebIdentityToken"`
	} `xml:"AssumeRoleWithWebIdentityResult"`
	Metadata responseMetadata `xml:"ResponseMetadata"`
}

// cephResponse has no namespace, as before Ceph 20.
type cephResponse struct {
	XMLName xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
	Result  struct {
		Subject         string `xml:"SubjectFromWebIdentityToken"`
		Audience        string
		AssumedRoleUser compatibleRoleUser
		Credentials     struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			Expiration      string
			SecretAccessKey string
			SessionToken    string
		}
		Provider         string
		PackedPolicySize int
	} `xml:"AssumeRoleWithWebIdentityResult"`
}

// cephError has the form of an error of S3.
type cephError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// compatible issues credentials of MinIO or Ceph, and returns the answer with them. The
// caller holds s.mu.
func (s *STS) compatible(role, session string, expiration time.Time, claims *jwt.Claims) any {
	c := Credentials{AccessKeyID: rand.Text()[:20], SecretAccessKey: randomBase64(40)}
	defer func() { s.issued = append(s.issued, c) }()
	if s.service == MinIO {
		// They end with the token, at the latest.
		if expiry := claims.Expiry.Time(); expiration.After(expiry) {
			expiration = expiry
		}
		c.Expiration = expiration.UTC().Truncate(time.Second)
		c.SessionToken = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9." + rand.Text() + "." + rand.Text()
		var r minIOResponse
		r.Result.Credentials.AccessKeyID, r.Result.Credentials.SecretAccessKey = c.AccessKeyID, c.SecretAccessKey
		r.Result.Credentials.SessionToken = c.SessionToken
		r.Result.Credentials.Expiration = c.Expiration.Format(time.RFC3339)
		r.Result.Subject = claims.Subject
		return &r
	}
	c.Expiration, c.SessionToken = expiration.UTC(), randomBase64(s.tokenLength)
	name := cephRoleARN.FindStringSubmatch(role)
	c.Account, c.SessionARN = name[1], fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", name[1], name[2], session)
	c.UserID = uid(role) + ":" + session
	var r cephResponse
	r.Result.Subject, r.Result.Audience, r.Result.Provider = claims.Subject, claims.Audience[0], claims.Issuer
	r.Result.AssumedRoleUser = compatibleRoleUser{c.SessionARN, c.UserID}
	r.Result.Credentials.AccessKeyID, r.Result.Credentials.SecretAccessKey = c.AccessKeyID, c.SecretAccessKey
	r.Result.Credentials.SessionToken = c.SessionToken
	r.Result.Credentials.Expiration = c.Expiration.Format("2006-01-02T15:04:05.000000000Z")
	return &r
}

// errorAnswer returns the status and the body of an error.
func (s Service) errorAnswer(err error, id string) (int, any) {
	status, answer := errorAnswer(err, id)
	switch s {
	case MinIO:
		answer.Error.Type = ""
	case Ceph:
		return status, &cephError{Code: answer.Error.Code, Message: answer.Error.Message, RequestID: id, HostID: strings.ToLower(rand.Text())}
	}
	return status, answer
}
