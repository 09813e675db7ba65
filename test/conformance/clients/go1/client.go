// A program with the AWS SDK for Go, version 1.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws/session"
	v4 "github.com/aws/aws-sdk-go/aws/signer/v4"
	"github.com/aws/aws-sdk-go/service/sts"
)

func main() {
	questions := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // where the SDK's logger writes
	sess, sessionErr := session.NewSession()
	for questions.Scan() {
		answer, err := reply(sess, sessionErr, questions.Text())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		answers.Encode(answer)
	}
}

func reply(sess *session.Session, sessionErr error, question string) (map[string]string, error) {
	var n int
	switch {
	case question == "hello":
		return map[string]string{}, nil
	case sessionErr != nil:
		return nil, sessionErr
	case question == "identity":
		out, err := sts.New(sess).GetCallerIdentity(&sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, err
		}
		return map[string]string{"arn": *out.Arn}, nil
	case question == "key":
		v, err := sess.Config.Credentials.Get()
		return map[string]string{"key": v.AccessKeyID}, err
	}
	if _, err := fmt.Sscanf(question, "sign %d", &n); err != nil {
		return nil, err
	}
	signer := v4.NewSigner(sess.Config.Credentials)
	for i := 0; i < n; i++ {
		r, err := http.NewRequest("GET", "http://example.com/", nil)
		if err != nil {
			return nil, err
		}
		if _, err := signer.Sign(r, strings.NewReader(""), "s3", "eu-west-1", time.Now()); err != nil {
			return nil, err
		}
	}
	return map[string]string{}, nil
}
