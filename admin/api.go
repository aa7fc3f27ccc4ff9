package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// Report is what GET /api/v1/pipelines answers.
type Report struct {
	Version   string         `json:"version"`
	Started   time.Time      `json:"started"`
	Pipelines []PipelineInfo `json:"pipelines"`
}

// PipelineInfo is one pipeline of a Report.
type PipelineInfo struct {
	pipeline.Status
	Source                string  `json:"source"`
	Sink                  string  `json:"sink"`
	TransactionsPerSecond float64 `json:"transactions_per_second"` // made durable, over the last seconds
	RowsPerSecond         float64 `json:"rows_per_second"`
	// SourceLog is the latest view of the source's log; absent while none is known.
	SourceLog *SourceLog `json:"source_log,omitempty"`
}

// SourceLog is how the stored position lies in the log of the source.
type SourceLog struct {
	Taken       time.Time `json:"taken"` // the moment it was so
	BehindBytes uint64    `json:"behind_bytes"`
	// PurgeSeconds is the time left until the source may purge what is still
	// needed; absent where it keeps its log for ever.
	PurgeSeconds *float64 `json:"purge_seconds,omitempty"`
	// Purged says that the source has removed what was still needed.
	Purged bool `json:"purged,omitempty"`
}

func sourceLog(s source.Survey) *SourceLog {
	l := &SourceLog{Taken: s.Taken, BehindBytes: s.BehindBytes, Purged: s.Purged}
	if s.Expires {
		secs := s.PurgeIn.Seconds()
		l.PurgeSeconds = &secs
	}
	return l
}

// APIError is the body of every answer that is no success: {"error": {…}}.
type APIError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error is the message.
func (e *APIError) Error() string { return e.Message }

// handler routes; commands says whether this door takes any.
func (s *Server) handler(commands bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: readTimeout,
	}))
	mux.HandleFunc("GET /api/v1/pipelines", s.list)
	mux.HandleFunc("GET /api/v1/pipelines/{name}", s.withPipeline(s.show))
	for verb, do := range map[string]func(Pipeline) error{"pause": Pipeline.Pause, "resume": Pipeline.Resume} {
		h := s.withPipeline(s.command(verb, do))
		if !commands {
			h = refuse
		}
		mux.HandleFunc("POST /api/v1/pipelines/{name}/"+verb, h)
	}
	snapshot := s.withPipeline(s.snapshot)
	if !commands {
		snapshot = refuse
	}
	mux.HandleFunc("POST /api/v1/pipelines/{name}/snapshot", snapshot)
	mux.HandleFunc("/", notFound)
	return bounded(mux)
}

// bounded limits the body of every request.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	rep := Report{Version: s.version, Started: s.started, Pipelines: []PipelineInfo{}}
	for _, p := range s.pipelines {
		rep.Pipelines = append(rep.Pipelines, s.info(p))
	}
	writeJSON(w, http.StatusOK, rep)
}

func (s *Server) show(w http.ResponseWriter, _ *http.Request, p Pipeline) {
	writeJSON(w, http.StatusOK, s.info(p))
}

func (s *Server) info(p Pipeline) PipelineInfo {
	info := PipelineInfo{Status: p.Status()}
	info.Source, info.Sink = p.Ends()
	info.TransactionsPerSecond, info.RowsPerSecond = s.rates.of(info.Name)
	if sv, ok := p.Survey(); ok {
		info.SourceLog = sourceLog(sv)
	}
	return info
}

type pipelineHandler func(w http.ResponseWriter, r *http.Request, p Pipeline)

// withPipeline finds the pipeline that the path names.
func (s *Server) withPipeline(h pipelineHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		var known []string
		for _, p := range s.pipelines {
			n := p.Status().Name
			if n == name {
				h(w, r, p)
				return
			}
			known = append(known, n)
		}
		writeError(w, http.StatusNotFound, APIError{
			Code: "unknown_pipeline", Message: fmt.Sprintf("there is no pipeline %q", name),
			Hint: "pipelines of this daemon: " + strings.Join(known, ", "),
		})
	}
}

func (s *Server) command(verb string, do func(Pipeline) error) pipelineHandler {
	return func(w http.ResponseWriter, _ *http.Request, p Pipeline) {
		if err := do(p); err != nil {
			writeError(w, http.StatusConflict, APIError{Code: verb + "_refused", Message: err.Error()})
			return
		}
		s.log.Info("command", "verb", verb, "pipeline", p.Status().Name)
		writeJSON(w, http.StatusOK, s.info(p))
	}
}

// snapshotTimeout bounds how long a request waits for the pipeline to take it.
const snapshotTimeout = 5 * time.Second

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, p Pipeline) {
	var q pipeline.SnapshotRequest
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		writeError(w, http.StatusBadRequest, APIError{
			Code: "bad_request", Message: "the body is no snapshot request: " + err.Error(),
			Hint: `send {"verb": "start", "tables": ["shop.orders"]}; verbs are start, pause, resume and cancel`,
		})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	if err := p.Snapshot(ctx, q); err != nil {
		f := resilience.Found(err)
		writeError(w, http.StatusConflict, APIError{Code: f.Code, Message: f.Text, Hint: f.Fix})
		return
	}
	s.log.Info("command", "verb", "snapshot "+q.Verb, "pipeline", p.Status().Name, "tables", q.Tables, "where", q.Where)
	writeJSON(w, http.StatusOK, s.info(p))
}

func refuse(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusForbidden, APIError{
		Code: "read_only", Message: "this address takes no commands",
		Hint: "use cdcd pause and cdcd resume on the machine itself: they go through the daemon's Unix socket",
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, APIError{
		Code: "not_found", Message: fmt.Sprintf("there is no %s %s here", r.Method, r.URL.Path),
		Hint: "GET /api/v1/pipelines, /metrics, /healthz and /readyz are",
	})
}

func writeError(w http.ResponseWriter, code int, e APIError) {
	writeJSON(w, code, map[string]APIError{"error": e})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the reader has gone: nobody is left to tell
}
