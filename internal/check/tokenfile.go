package check

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// tokenFile checks the file and the form of the token.
func (r *run) tokenFile(context.Context) outcome {
	if r.TokenFile == "" {
		return skip("the settings name none")
	}
	raw, err := r.ReadToken()
	if err != nil {
		return fail("%s", strings.TrimPrefix(err.Error(), "token file ")).advise(r.owner()...)
	}
	if r.header, err = r.ParseHeader(raw); err != nil {
		return fail("%s: %v", r.TokenFile, err).advise(notAToken)
	}
	r.raw = raw
	if problem := signatureProblem(r.header.Algorithm, raw); problem != "" {
		return fail("%s: %s", r.TokenFile, problem).advise(notAToken)
	}
	if r.mountedAlone() {
		return fail("%s is mounted by itself, as subPath does: the kubelet never updates such a mount, and the token in it will expire", r.TokenFile).
			advise("mount the whole volume in a directory, without subPath, and restart the pod")
	}
	return ok("%s: %d bytes, alg %s, kid %s", r.TokenFile, len(raw), r.header.Algorithm, r.header.KeyID)
}

const notAToken = "name a file that the kubelet writes, from a projected volume with a serviceAccountToken source; a copy may be cut off"

// owner says who may read the token's file, and who wants to.
func (r *run) owner() []string {
	info, err := os.Stat(r.TokenFile)
	if err != nil {
		return nil
	}
	text := fmt.Sprintf("its mode is %v", info.Mode())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(", its owner user %d and group %d", stat.Uid, stat.Gid)
	}
	groups, _ := os.Getgroups() // without them the rest is true
	return []string{text + fmt.Sprintf("; this process is user %d, group %d, supplementary groups %v", os.Getuid(), os.Getgid(), groups)}
}

// signatureProblem returns what is wrong with the signature of a token, whatever its key, or
// "": STS knows RSA and ECDSA, and their signatures have the length of the key.
func signatureProblem(algorithm string, raw []byte) string {
	segment := raw[bytes.LastIndexByte(raw, '.')+1:]
	length := base64.RawURLEncoding.DecodedLen(len(segment))
	switch algorithm {
	case "RS256", "RS384", "RS512":
		if length >= 128 && length%32 == 0 {
			return ""
		}
	case "ES256", "ES384", "ES512":
		if length == map[string]int{"ES256": 64, "ES384": 96, "ES512": 132}[algorithm] {
			return ""
		}
	default:
		return fmt.Sprintf("the token's algorithm is %.20q, and STS accepts RS256, RS384, RS512, ES256, ES384 and ES512", algorithm)
	}
	return fmt.Sprintf("the token is cut off: its signature has %d bytes, which none of %s has", length, algorithm)
}

// mountedAlone reports whether the token's file, or the directory that the kubelet wrote it
// to, is a mount of its own. The kubelet publishes a token by exchanging a link beside that
// directory, which such a mount does not see.
func (r *run) mountedAlone() bool {
	table, err := os.ReadFile(filepath.Join(r.Proc, "self/mountinfo"))
	if err != nil {
		return false
	}
	directory, err := filepath.EvalSymlinks(filepath.Dir(r.TokenFile))
	if err != nil {
		return false
	}
	file := filepath.Join(directory, filepath.Base(r.TokenFile))
	longest, root := "", ""
	for line := range strings.SplitSeq(string(table), "\n") {
		// https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		if contains(point, file) && len(point) >= len(longest) { // a later mount hides earlier ones
			longest, root = point, unescape(fields[3])
		}
	}
	return longest == file || strings.Contains(root, "/..2")
}

// contains reports whether a mount point is a path, or above it.
func contains(point, path string) bool {
	return point == path || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
}

// unescape undoes what mountinfo does to white space.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
