// A program with the AWS SDK for Go, version 1.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go/aws/ec2metadata"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/sts"
)

func main() {
	questions := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // the SDK's logger writes to os.Stdout
	sess := session.New() // the oldest release has no NewSession
	for questions.Scan() {
		answer, err := reply(sess, questions.Text())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		answers.Encode(answer)
	}
}

func reply(sess *session.Session, question string) (map[string]string, error) {
	var n int
	switch {
	case question == "hello":
		return map[string]string{}, nil
	case question == "identity":
		out, err := sts.New(sess).GetCallerIdentity(&sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, err
		}
		return map[string]string{"arn": *out.Arn}, nil
	case question == "key":
		v, err := sess.Config.Credentials.Get()
		return map[string]string{"key": v.AccessKeyID}, err
	case question == "region":
		region, err := ec2metadata.New(sess).Region()
		return map[string]string{"region": region}, err
	}
	if _, err := fmt.Sscanf(question, "sign %d", &n); err != nil {
		return nil, err
	}
	for i := 0; i < n; i++ {
		r, _ := sts.New(sess).GetCallerIdentityRequest(&sts.GetCallerIdentityInput{})
		if _, err := r.Presign(time.Minute); err != nil {
			return nil, err
		}
	}
	return map[string]string{}, nil
}
