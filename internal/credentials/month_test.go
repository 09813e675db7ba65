package credentials

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/standin"
)

// TestAMonthLeavesNothingBehind runs a Refresher for a month. The token rotates every
// hour, STS fails in some way for twenty minutes a day, and a client requests credentials
// once a minute. The client always gets some, and goroutines and heap do not grow.
func TestAMonthLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var today atomic.Pointer[standin.STS] // a new one each day: a stand-in remembers every request
		token := issuer.Token(standin.Claims{Lifetime: 40 * 24 * time.Hour})
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { today.Load().ServeHTTP(w, r) })}
		ln := make(pipeListener)
		go srv.Serve(ln)
		defer srv.Close()
		reg := prometheus.NewRegistry()
		client := sts.New(sts.Options{Endpoint: "http://sts.example", Transport: ln.transport()}, reg)
		r := NewRefresher(stscreds.NewWebIdentityRoleProvider(client, role, identity(token)), "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), reg)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		var early, late usage
		for day := range 30 {
			fake := standin.NewSTS(issuer)
			fake.AddRole(standin.Role{ARN: role})
			today.Store(fake)
			if day == 0 {
				go r.Run(ctx)
				synctest.Wait()
			}
			for hour := range 24 {
				r.Wake()
				for minute := range 60 {
					fake.Always(nil)
					if hour == 12 && minute < 20 {
						fake.Always(failures()[day%len(failures())].fault)
					}
					sleep(time.Minute)
					if _, err := r.Retrieve(t.Context()); err != nil {
						t.Fatalf("day %d, hour %d: %v", day, hour, err)
					}
				}
			}
			if n := len(fake.Requests()); n < 24*60/39 || n > 24*2+20 {
				t.Errorf("day %d: %d calls", day, n)
			}
			today.Store(nil)
			late = measure()
			if day == 2 {
				early = late
			}
		}
		t.Logf("on the third day %+v, on the last %+v", early, late)
		if late.goroutines > early.goroutines || late.heap > early.heap+64<<10 {
			t.Errorf("on the third day %+v, on the last %+v", early, late)
		}
	})
}

type usage struct {
	goroutines int
	heap       uint64 // bytes
}

func measure() usage {
	runtime.GC()
	runtime.GC() // frees what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapAlloc}
}
