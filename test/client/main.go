// Command client is a program as they are found in the field: its AWS SDK, of
// July 2019, is the last release of its line that knows nothing of web identity.
//
// It says who it is to AWS, in a line on stdout:
//
//	client STS-URL                  for each line on stdin, always with the one
//	                                session that it began with: what a long-running
//	                                program sees when its credentials are renewed
//	client -every 1s STS-URL        each second, with a session of its own, until it
//	                                is told to end; -drain 5s: five seconds longer;
//	                                -times 3: or three times, and exit status 1 if
//	                                one of them failed
//
// With -without NAME,NAME it does as if it had not got these environment variables.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

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
	every := flag.Duration("every", 0, "ask by itself, at this interval")
	drain := flag.Duration("drain", 0, "how long to go on after SIGTERM")
	times := flag.Int("times", 0, "how often to ask; 0: until told to end")
	without := flag.String("without", "", "environment variables to forget, separated by commas")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	for name := range strings.SplitSeq(*without, ",") {
		os.Unsetenv(name)
	}
	var err error
	if *every > 0 {
		err = repeat(flag.Arg(0), *every, *drain, *times, os.Stdout)
	} else {
		err = answerLines(flag.Arg(0), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(1)
	}
}

func answerLines(url string, stdin io.Reader, stdout io.Writer) error {
	client, err := newClient(url)
	if err != nil {
		return err
	}
	answers := json.NewEncoder(stdout)
	questions := bufio.NewScanner(stdin)
	for questions.Scan() {
		if err := answers.Encode(whoAmI(client)); err != nil {
			return err
		}
	}
	return questions.Err()
}

func repeat(url string, every, drain time.Duration, times int, stdout io.Writer) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	var end <-chan time.Time
	var failures []error
	answers := json.NewEncoder(stdout)
	tick := time.NewTicker(every)
	for n := 1; ; n++ {
		client, err := newClient(url)
		if err != nil {
			return err
		}
		a := whoAmI(client)
		if a.Error != "" {
			failures = append(failures, errors.New(a.Error))
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
		if n == times {
			return errors.Join(failures...)
		}
		select {
		case <-tick.C:
		case <-end:
			return nil
		case <-told:
			fmt.Fprintln(stdout, `{"Told":"to end"}`)
			end = time.After(drain)
		}
	}
}

func newClient(url string) (*sts.STS, error) {
	// Without the SDK's retries, so that no error stays unseen.
	sess, err := session.NewSession(aws.NewConfig().WithMaxRetries(0).WithCredentialsChainVerboseErrors(true))
	if err != nil {
		return nil, err
	}
	return sts.New(sess, aws.NewConfig().WithEndpoint(url)), nil
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
