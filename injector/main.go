// The injector adds irsa-sidecar to pods where deploy/inject cannot: below Kubernetes 1.36 as
// an admission webhook, and in manifests. It evaluates the policy of deploy/inject itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"irsa-sidecar/injector/policy"
	"irsa-sidecar/injector/render"
)

const usage = `usage:
  injector render [FLAG...] <manifests >manifests
  injector serve [FLAG...]
  injector --version

render adds the sidecar to the pods of every workload that asks for it, in manifests. It can
be the post-renderer of Helm. serve is an admission webhook; see deploy/injector.

flags of both:
  --policy DIR         deploy/inject, beside deploy/settings
                       (default /deploy/inject, where the image has them)
  --image IMAGE        of the sidecar
  --region REGION      the cluster's; "" for that of the node (Kubernetes 1.35 and later)
  --setting KEY=VALUE  another key of the ConfigMap irsa-sidecar; may be repeated

flags of serve:
  --listen ADDRESS   of the webhook (default :9443)
  --metrics ADDRESS  of /metrics, /healthz and /readyz (default :9440)
  --cert-dir DIR     a directory with tls.crt and tls.key, read again as they change.
                     Without it, the replicas issue their own certificate.
`

// The linker sets both for an image.
var version, revision = "unknown", "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
	} else if err != nil {
		fmt.Fprintf(os.Stderr, "injector: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command: see injector --help")
	}
	flags := flag.NewFlagSet("injector "+args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints the error
	load := policyFlags(flags)
	switch args[0] {
	case "-h", "--help", "help":
		return flag.ErrHelp
	case "--version":
		_, err := fmt.Fprintf(stdout, "injector %s (commit %s, %s)\n", version, revision, runtime.Version())
		return err
	case "render":
		return renderStream(ctx, flags, load, args[1:], stdin, stdout)
	case "serve":
		return serve(ctx, flags, load, args[1:], stderr)
	}
	return fmt.Errorf("unknown command %q: see injector --help", args[0])
}

// policyFlags adds the flags that both commands have. The function that it returns loads the
// policy, once the flags are parsed.
func policyFlags(flags *flag.FlagSet) func() (*policy.Policy, error) {
	dir := flags.String("policy", "/deploy/inject", "")
	settings := policy.Settings{}
	for _, key := range []string{"image", "region"} {
		flags.Func(key, "", func(value string) error {
			settings[key] = value
			return nil
		})
	}
	flags.Func("setting", "", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want KEY=VALUE")
		}
		settings[key] = value
		return nil
	})
	return func() (*policy.Policy, error) { return policy.LoadDirectory(*dir, settings) }
}

func renderStream(ctx context.Context, flags *flag.FlagSet, load func() (*policy.Policy, error), args []string, stdin io.Reader, stdout io.Writer) error {
	if err := parse(flags, args); err != nil {
		return err
	}
	p, err := load()
	if err != nil {
		return err
	}
	manifests, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	// With an error nothing is printed: half of the manifests could be taken for all.
	rendered, err := render.Render(ctx, p, manifests)
	if err != nil {
		return err
	}
	_, err = stdout.Write(rendered)
	return err
}

// parse parses flags, and refuses other arguments.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return nil
}
