package standin

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is an error response of STS: see "Errors" of each action and
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html.
type refusal struct {
	status  int
	code    string
	message string
}

func (e *refusal) Error() string { return e.code + ": " + e.message }

func refusef(status int, code, format string, args ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

type responseMetadata struct {
	RequestID string `xml:"RequestId"`
}

type assumeRoleResponse struct {
	XMLName  xml.Name         `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Result   assumeRoleResult `xml:"AssumeRoleWithWebIdentityResult"`
	Metadata responseMetadata `xml:"ResponseMetadata"`
}

type assumeRoleResult struct {
	Audience        string
	AssumedRoleUser assumedRoleUser
	Provider        string
	Credentials     xmlCredentials
	Subject         string `xml:"SubjectFromWebIdentityToken"`
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	ARN           string `xml:"Arn"`
}

type xmlCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func newXMLCredentials(c Credentials) xmlCredentials {
	return xmlCredentials{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expiration.Format(time.RFC3339)}
}

type callerIdentityResponse struct {
	XMLName  xml.Name             `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Result   callerIdentityResult `xml:"GetCallerIdentityResult"`
	Metadata responseMetadata     `xml:"ResponseMetadata"`
}

type callerIdentityResult struct {
	ARN     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string
}

type errorResponse struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Error   struct {
		Type    string
		Code    string
		Message string
	}
	RequestID string `xml:"RequestId"`
}

// answer writes the result of a call, or the error if there is one.
func (s Service) answer(w http.ResponseWriter, result any, err error) {
	status, id := http.StatusOK, uid(rand.Text())
	if err != nil {
		status, result = s.errorAnswer(err, id)
	}
	switch r := result.(type) {
	case *assumeRoleResponse:
		r.Metadata.RequestID = id
	case *minIOResponse:
		r.Metadata.RequestID = id
	case *callerIdentityResponse:
		r.Metadata.RequestID = id
	}
	body, err := xml.MarshalIndent(result, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err))
	}
	body = append(body, '\n')
	if s == AWS {
		w.Header().Set("X-Amzn-Requestid", id)
		w.Header().Set("Content-Type", "text/xml")
	} else {
		body = append([]byte(xml.Header), body...)
		w.Header().Set("X-Amz-Request-Id", id)
		w.Header().Set("Content-Type", "application/xml")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// An error here means that the client has disconnected.
	_, _ = w.Write(body)
}

func errorAnswer(err error, id string) (int, *errorResponse) {
	e, ok := errors.AsType[*refusal](err)
	if !ok {
		e = &refusal{http.StatusInternalServerError, "InternalFailure", err.Error()}
	}
	resp := &errorResponse{RequestID: id}
	resp.Error.Type = "Sender"
	if e.status >= http.StatusInternalServerError {
		resp.Error.Type = "Receiver"
	}
	resp.Error.Code = e.code
	resp.Error.Message = e.message
	return e.status, resp
}

// noteKey is the context key of the func(code string) that records how the
// request ended, so that faults can record it too.
type noteKey struct{}

func note(ctx context.Context, err error) {
	record, ok := ctx.Value(noteKey{}).(func(string))
	if !ok {
		return
	}
	code := ""
	if err != nil {
		code = "InternalFailure"
	}
	if e, ok := errors.AsType[*refusal](err); ok {
		code = e.code
	}
	record(code)
}
