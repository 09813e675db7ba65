// Command image makes an OCI archive of the files that release/build has written, and pushes it:
//
//	image pack FLAG... ARCHITECTURE=DIRECTORY...   writes an archive, and prints its digest
//	image reach REPOSITORY                         fails if one may not push there
//	image free ARCHIVE REPOSITORY TAG              fails if TAG is another image
//	image digest ARCHIVE ARCHITECTURE              prints the digest of the image for one architecture
//	image push ARCHIVE REPOSITORY                  pushes it without a tag, and prints REPOSITORY@DIGEST
//	image tag ARCHIVE REPOSITORY TAG               gives the pushed image its tag
//
// It exists because an image is then a function of its files alone: no daemon, no base image and
// no clock has a part in it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	command, args := args[0], args[1:]
	switch {
	case command == "pack":
		return pack(args, stdout)
	case command == "reach" && len(args) == 1:
		return reach(args[0])
	case command == "free" && len(args) == 3:
		return free(args[0], args[1], args[2])
	case command == "digest" && len(args) == 2:
		return digest(args[0], args[1], stdout)
	case command == "push" && len(args) == 2:
		return push(args[0], args[1], stdout)
	case command == "tag" && len(args) == 3:
		return tag(args[0], args[1], args[2])
	}
	return fmt.Errorf("unknown command %q, or the wrong number of arguments", command)
}

// options are the flags of pack.
type options struct {
	dockerfile, name, out string
	created               time.Time
	args                  map[string]string // of the Dockerfile
}

func pack(args []string, stdout io.Writer) error {
	o := options{args: map[string]string{}}
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.StringVar(&o.dockerfile, "dockerfile", "Dockerfile", "what the last stage of this says, the image has")
	flags.StringVar(&o.name, "name", "", "`REPOSITORY:TAG` of the image in the archive")
	flags.StringVar(&o.out, "out", "", "the archive")
	flags.TextVar(&o.created, "created", time.Time{}, "the time of the commit, as in RFC 3339")
	flags.Func("arg", "`NAME=VALUE` of an ARG", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want NAME=VALUE")
		}
		o.args[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	roots := map[string]string{}
	for _, text := range flags.Args() {
		arch, dir, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("want ARCHITECTURE=DIRECTORY, not %q", text)
		}
		roots[arch] = dir
	}
	digest, err := writeArchive(o, roots)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}
