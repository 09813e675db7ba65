package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	ttlHeader = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"

	// maxTTL is six hours:
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
	maxTTL = 21600
)

// sessions issues the session tokens of the instance metadata service, version 2. It
// stores none: a token is the time at which it expires, and a proof that this process
// wrote that.
type sessions struct {
	key     []byte
	start   time.Time // has a monotonic part, so that setting the clock expires nothing
	fail    failer
	metrics *Metrics
}

func newSessions(fail failer, metrics *Metrics) *sessions {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails
	return &sessions{key: key, start: time.Now(), fail: fail, metrics: metrics}
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.ParseUint(strings.Join(r.Header[ttlHeader], ","), 10, 16) // two headers are no number
	if err != nil || ttl < 1 || ttl > maxTTL {
		s.fail(w, http.StatusBadRequest, "BadRequest", "the header X-aws-ec2-metadata-token-ttl-seconds must be a number from 1 to 21600")
		return
	}
	token := s.issue(time.Duration(ttl) * time.Second)
	s.metrics.ok.Inc()
	maps.Copy(w.Header(), header("text/plain", []byte(token)))
	w.Header().Set(ttlHeader, strconv.FormatUint(ttl, 10)) // the SDKs for Go 2 and Rust fail without it
	io.WriteString(w, token)
}

// issue returns a token that is valid for ttl.
func (s *sessions) issue(ttl time.Duration) string {
	expiry := binary.BigEndian.AppendUint64(nil, uint64(time.Since(s.start)+ttl))
	return base64.URLEncoding.EncodeToString(s.sign(expiry))
}

// valid reports whether s issued token and it has not expired.
func (s *sessions) valid(token string) bool {
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(raw) < 8 || !hmac.Equal(raw, s.sign(raw[:8])) {
		return false
	}
	return time.Since(s.start) < time.Duration(binary.BigEndian.Uint64(raw))
}

// sign returns expiry followed by a proof that only s can have made.
func (s *sessions) sign(expiry []byte) []byte {
	proof := hmac.New(sha256.New, s.key)
	proof.Write(expiry)
	return proof.Sum(expiry[:8:8])
}
