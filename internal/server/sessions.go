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

// sessions issues the session tokens of the instance metadata service, version
// 2. It remembers none: a token is the time at which it ends, and a proof that
// this process has written that.
type sessions struct {
	key     []byte
	begin   time.Time // has a monotonic part, so that setting the clock ends nothing
	fail    failer
	metrics *Metrics
}

func newSessions(fail failer, metrics *Metrics) *sessions {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails
	return &sessions{key, time.Now(), fail, metrics}
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.ParseUint(strings.Join(r.Header[ttlHeader], ","), 10, 16) // two of them are no number
	if err != nil || ttl < 1 || ttl > maxTTL {
		s.fail(w, http.StatusBadRequest, "BadRequest", "the header X-aws-ec2-metadata-token-ttl-seconds must be a number from 1 to 21600")
		return
	}
	token := s.issue(time.Duration(ttl) * time.Second)
	s.metrics.ok.Inc()
	maps.Copy(w.Header(), header("text/plain", []byte(token)))
	w.Header().Set(ttlHeader, strconv.FormatUint(ttl, 10)) // the SDKs for Go 2 and Rust fail without
	io.WriteString(w, token)
}

// issue returns a token that is valid for ttl.
func (s *sessions) issue(ttl time.Duration) string {
	end := binary.BigEndian.AppendUint64(nil, uint64(time.Since(s.begin)+ttl))
	return base64.URLEncoding.EncodeToString(s.prove(end))
}

// valid tells whether token has been issued by s and has not ended.
func (s *sessions) valid(token string) bool {
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(raw) < 8 || !hmac.Equal(raw, s.prove(raw[:8])) {
		return false
	}
	return time.Since(s.begin) < time.Duration(binary.BigEndian.Uint64(raw))
}

// prove returns end with a proof that only s can have made.
func (s *sessions) prove(end []byte) []byte {
	proof := hmac.New(sha256.New, s.key)
	proof.Write(end)
	return proof.Sum(end[:8:8])
}
