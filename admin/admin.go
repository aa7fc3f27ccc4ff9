package admin

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/source"
)

// Pipeline is what admin needs of a pipeline. All methods are safe for
// concurrent use and return soon.
type Pipeline interface {
	// Status returns a snapshot; its Name never changes.
	Status() pipeline.Status
	// Pause stops the delivery softly and keeps it stopped until Resume.
	// Pausing twice is fine.
	Pause() error
	// Resume lets a paused pipeline, or one that an error stopped, go on.
	Resume() error
	// Snapshot starts, pauses, resumes or cancels the reading of tables.
	Snapshot(ctx context.Context, r pipeline.SnapshotRequest) error
	// Ends names the source and the sink as the configuration does.
	Ends() (source, sink string)
	// Survey is the latest view of the source's log; ok is false while none is known.
	Survey() (s source.Survey, ok bool)
}

// Server serves the API of one daemon.
type Server struct {
	version   string
	started   time.Time
	pipelines []Pipeline
	metrics   *Metrics
	rates     *rates
	log       *slog.Logger
}

// New returns a server for the pipelines, which do not change any more.
func New(version string, ps []Pipeline, m *Metrics, l *slog.Logger) *Server {
	m.watch(ps)
	return &Server{version: version, started: time.Now(), pipelines: ps, metrics: m, rates: newRates(), log: l}
}

// Bounds of every request.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = time.Minute
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
	stopTimeout   = 2 * time.Second // requests in hand at the end of Serve
)

// Serve answers on the socket and, unless it is nil, on the TCP listener, until
// ctx ends. It closes both and returns once no request is in hand.
func (s *Server) Serve(ctx context.Context, socket, tcp net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serve(ctx, socket, s.handler(true)) })
	if tcp != nil {
		g.Go(func() error { return s.serve(ctx, tcp, s.handler(false)) })
	}
	g.Go(func() error { return s.sampleRates(ctx) })
	return g.Wait()
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(slogWriter{s.log}, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if srv.Shutdown(stop) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-done
		return nil
	}
	return err // errgroup ends ctx, which ends the goroutine above
}

// slogWriter turns the complaints of net/http into log lines.
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(b []byte) (int, error) {
	w.log.Debug("admin connection", "err", string(b))
	return len(b), nil
}

// sampleRates remembers once a second how far each pipeline is.
func (s *Server) sampleRates(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, p := range s.pipelines {
				st := p.Status()
				s.rates.add(st.Name, sample{at: now, transactions: st.Seq, rows: st.RowsDone})
			}
		}
	}
}
