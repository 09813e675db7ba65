package listen

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// A client on the same machine sends its headers at once.
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second

	// idleTimeout is longer than SDKs keep idle connections, so that mostly the
	// client closes one: when the server does so while a request is on its way,
	// some clients see a reset.
	idleTimeout = 3 * time.Minute

	// drainTime is how long requests in flight may take at shutdown. Shutdown
	// itself would wait five seconds for a connection that never sent a request.
	drainTime = 800 * time.Millisecond

	// net/http adds 4 KiB.
	maxHeaderBytes = 8 << 10
)

// ConnContext is an http.Server's: what the requests on a connection have in common.
type ConnContext func(ctx context.Context, conn net.Conn) context.Context

// remember also makes the connection itself known to the handler of a Limit.
func (identify ConnContext) remember(ctx context.Context, conn net.Conn) context.Context {
	if identify != nil {
		ctx = identify(ctx, conn)
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// Serve answers the requests on ln with handler until ctx is done; then it closes ln,
// answers what is in flight and returns nil, all within a second. It returns an error
// only if ln is closed before that.
//
// Headers, bodies and idle connections have time limits, and limit bounds the number of
// connections, so that no client can keep others out. If identify is not nil it adds to the
// context of the requests on a connection, right after that is accepted.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, limit *Limit, identify ConnContext, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           limit.handler(handler),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       identify.remember,
		ConnState:         limit.track,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// Otherwise net/http answers OPTIONS * itself, whoever asks.
		DisableGeneralOptionsHandler: true,
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(limit.listener(ln, log))
	if stop() {
		return err
	}
	<-drained
	return nil
}
