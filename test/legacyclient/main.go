// Command legacyclient is a typical old program: its AWS SDK, of July 2019, is the last
// release of its line without web identity.
//
// It prints its AWS identity, one line per answer on stdout:
//
//	legacyclient STS-URL            once for each line on stdin, always with the
//	                                same session, like a long-running program whose
//	                                credentials are renewed
//	legacyclient -every 1s STS-URL  every second, each time with a new session, until
//	                                SIGTERM; with -drain 5s for five more seconds;
//	                                with -times 3 three times, and exit status 1 if
//	                                one of them failed
//
// With -without NAME,NAME it ignores these environment variables.
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
	every := flag.Duration("every", 0, "ask at this interval, not for each line on stdin")
	drain := flag.Duration("drain", 0, "how long to continue after SIGTERM")
	times := flag.Int("times", 0, "how often to ask; 0: until SIGTERM")
	without := flag.String("without", "", "environment variables to ignore, separated by commas")
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
		fmt.Fprintf(os.Stderr, "legacyclient: %v\n", err)
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
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
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
		case <-terminate:
			fmt.Fprintln(stdout, `{"Signal":"SIGTERM"}`)
			end = time.After(drain)
		}
	}
}

func newClient(url string) (*sts.STS, error) {
	// Without the SDK's retries, which would hide errors.
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
