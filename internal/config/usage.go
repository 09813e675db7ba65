package config

import (
	"fmt"
	"strings"
)

const usageHead = `Usage: sidecar [FLAGS]          serve credentials until SIGTERM
       sidecar [FLAGS] ready    exit with status 0 if credentials are being served,
                                otherwise print why not and exit with status 1 (a
                                startup probe)
       sidecar [FLAGS] check [--offline] [--output json]
                                find out, step by step, why there are no credentials,
                                and say what to do; exit with status 0 if nothing
                                fails, 1 if something does, 2 if it is a setting.
                                It calls STS; with --offline it calls nobody
       sidecar [FLAGS] refresh  have the sidecar that runs here get new credentials now,
                                once in 60 seconds: after the role's sessions were
                                revoked, or a policy changed (run it as the sidecar's
                                user, with kubectl exec in its container)
       sidecar [FLAGS] link-local [ADDRESS...]
                                add the addresses for --ecs-listen and --imds-listen,
                                or only those named, to this pod's loopback interface
                                and exit (an init container of user 0 that has the
                                capability NET_ADMIN)

Exchanges the pod's service account token for the credentials of its IAM role, at STS
or at the EKS Pod Identity agent, and serves them to programs whose AWS SDK cannot do
that. In the container of such a program set

    AWS_CONTAINER_CREDENTIALS_FULL_URI=http://%s%s

A flag takes precedence over its environment variable. An empty variable counts as
unset. Settings that may be secrets have no flag. A FILE is an absolute path. With
web identity the AWS_CONTAINER_* variables in the sidecar's own environment are
ignored: they are for clients.

`

const usageFoot = `--help and --version print what they say, and need no setting.

Exit status: 0 on SIGTERM, 2 for a configuration error, otherwise 1.
`

const (
	usageWidth  = 84
	usageIndent = "        "
)

// Usage returns the text for --help.
func Usage() string {
	var b strings.Builder
	table := settings()
	fmt.Fprintf(&b, usageHead, table[keyListen].standard, table[keyPath].standard)
	for _, section := range sections() {
		fmt.Fprintf(&b, "%s:\n\n", section.title)
		for _, s := range section.settings {
			writeUsage(&b, s)
		}
		b.WriteString("\n")
	}
	b.WriteString(usageFoot)
	return b.String()
}

func writeUsage(b *strings.Builder, s setting) {
	variables := strings.Join(strings.Fields(s.variables), ", ")
	if s.flag == "" {
		fmt.Fprintf(b, "  %s\n", variables)
	} else {
		fmt.Fprintf(b, "  %-28s  %s\n", "--"+s.flag+" "+s.placeholder, variables)
	}
	remark := s.withoutValue()
	if s.limit != "" {
		remark = s.limit + "; " + remark
	}
	for _, line := range wrap(s.help+" ("+remark+")", usageWidth-len(usageIndent)) {
		fmt.Fprintf(b, "%s%s\n", usageIndent, line)
	}
}

// wrap breaks a text into lines of at most width characters, longer words aside.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
