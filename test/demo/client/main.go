// Command client is a program as they are found in the field: its AWS SDK, of
// July 2019, is the last release of its line that knows nothing of web identity.
//
// It answers each line on stdin with one on stdout that says who it is to AWS,
// always with the one session that it began with: what a long-running program
// sees when its credentials are renewed.
//
//	client STS-URL
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/sts"
)

// answer has either an Error or the rest.
type answer struct {
	ARN   string
	Key   string // the end of the access key id
	Error string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, want the URL of STS", len(args))
	}
	// Without the SDK's retries, so that no error stays unseen.
	sess, err := session.NewSession(aws.NewConfig().WithMaxRetries(0).WithCredentialsChainVerboseErrors(true))
	if err != nil {
		return err
	}
	client := sts.New(sess, aws.NewConfig().WithEndpoint(args[0]))
	answers := json.NewEncoder(os.Stdout)
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		if err := answers.Encode(whoAmI(client)); err != nil {
			return err
		}
	}
	return questions.Err()
}

func whoAmI(client *sts.STS) answer {
	out, err := client.GetCallerIdentity(&sts.GetCallerIdentityInput{})
	if err != nil {
		return answer{Error: err.Error()}
	}
	credentials, err := client.Config.Credentials.Get()
	if err != nil {
		return answer{Error: err.Error()}
	}
	id := credentials.AccessKeyID
	return answer{ARN: aws.StringValue(out.Arn), Key: id[max(0, len(id)-4):]}
}
