// A program with the AWS SDK for Go, version 2.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	questions := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	cfg, configErr := config.LoadDefaultConfig(context.Background())
	for questions.Scan() {
		answer, err := reply(cfg, configErr, questions.Text())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		answers.Encode(answer)
	}
}

func reply(cfg aws.Config, configErr error, question string) (map[string]string, error) {
	ctx := context.Background()
	var n int
	switch {
	case question == "hello":
		return map[string]string{}, nil
	case configErr != nil:
		return nil, configErr
	case question == "identity":
		out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, err
		}
		return map[string]string{"arn": *out.Arn}, nil
	case question == "key":
		v, err := cfg.Credentials.Retrieve(ctx)
		return map[string]string{"key": v.AccessKeyID}, err
	}
	if _, err := fmt.Sscanf(question, "sign %d", &n); err != nil {
		return nil, err
	}
	client := sts.NewPresignClient(sts.NewFromConfig(cfg))
	for i := 0; i < n; i++ {
		if _, err := client.PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
			return nil, err
		}
	}
	return map[string]string{}, nil
}
