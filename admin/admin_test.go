package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a pipeline that does as it is told.
type fake struct {
	mu     sync.Mutex
	status pipeline.Status
	survey *source.Survey
	refuse error
	asked  pipeline.SnapshotRequest
}

func (f *fake) Status() pipeline.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) set(s pipeline.State) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse == nil {
		f.status.State = s
	}
	return f.refuse
}

func (f *fake) Pause() error           { return f.set(pipeline.Paused) }
func (f *fake) Resume() error          { return f.set(pipeline.Running) }
func (f *fake) Ends() (string, string) { return "shop", "events" }

func (f *fake) Snapshot(_ context.Context, r pipeline.SnapshotRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = r
	return f.refuse
}

func (f *fake) Survey() (source.Survey, bool) {
	if f.survey == nil {
		return source.Survey{}, false
	}
	return *f.survey, true
}

func running(name string) *fake {
	return &fake{status: pipeline.Status{Name: name, State: pipeline.Running, Ready: true, ReadSeq: 7, Seq: 5, LagSeconds: 1.5}}
}

func newServer(ps ...Pipeline) *Server {
	return New("1.2.3", ps, NewMetrics(), slog.New(slog.DiscardHandler))
}

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestReadyMeansProgress(t *testing.T) {
	a, b := running("a"), running("b")
	h := newServer(a, b).handler(false)
	if code, body := get(t, h, "GET", "/readyz"); code != 200 {
		t.Errorf("both ready: %d %s", code, body)
	}
	b.status.Ready = false
	if code, body := get(t, h, "GET", "/readyz"); code != 503 || !strings.Contains(body, `"not ready"`) {
		t.Errorf("one connected but silent: %d %s", code, body)
	}
	b.status.State = pipeline.Paused
	if code, _ := get(t, h, "GET", "/readyz"); code != 200 {
		t.Errorf("one paused: %d", code)
	}
	if code, _ := get(t, h, "GET", "/healthz"); code != 200 {
		t.Errorf("health: %d", code)
	}
}

func TestCommandsNeedTheSocket(t *testing.T) {
	a := running("a")
	s := newServer(a)
	if code, body := get(t, s.handler(false), "POST", "/api/v1/pipelines/a/pause"); code != 403 || !strings.Contains(body, "read_only") {
		t.Errorf("over TCP: %d %s", code, body)
	}
	if a.status.State != pipeline.Running {
		t.Error("the command got through")
	}
	if code, _ := get(t, s.handler(true), "POST", "/api/v1/pipelines/a/pause"); code != 200 || a.status.State != pipeline.Paused {
		t.Errorf("over the socket: %d, %s", code, a.status.State)
	}
	if code, _ := get(t, s.handler(true), "GET", "/api/v1/pipelines/a/pause"); code != 404 {
		t.Errorf("GET of a command: %d", code)
	}
}

func TestErrorsAreJSON(t *testing.T) {
	a := running("a")
	a.refuse = errors.New("it is stopping")
	h := newServer(a).handler(true)
	for _, c := range []struct {
		method, path, code string
		status             int
	}{
		{"GET", "/api/v1/pipelines/nope", "unknown_pipeline", 404},
		{"POST", "/api/v1/pipelines/a/pause", "pause_refused", 409},
		{"GET", "/api/v2", "not_found", 404},
		{"DELETE", "/api/v1/pipelines/a", "not_found", 404},
	} {
		code, body := get(t, h, c.method, c.path)
		var e struct{ Error APIError }
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != c.status || e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
}

func TestMetricsText(t *testing.T) {
	a := running("a")
	a.survey = &source.Survey{BehindBytes: 99, Expires: true, PurgeIn: time.Hour}
	a.status.Snapshot = []pipeline.TableProgress{
		{Table: "shop.orders", Reading: true, Rows: 25, Estimate: 100}, {Table: "shop.users"},
		{Table: "shop.tags", Done: true}, {Table: "shop.visits", Cancelled: true},
	}
	m := NewMetrics()
	s := New("v", []Pipeline{a}, m, slog.New(slog.DiscardHandler))
	o := m.Observer("a")
	now := time.Now()
	u := pipeline.UnitStats{Transactions: 2, Rows: 3, RawBytes: 100, PackedBytes: 50, OldestCommit: now.Add(-time.Second), Read: now, Sent: now, Done: now.Add(time.Second)}
	o.UnitRead(u)
	o.UnitEncoded(u, time.Millisecond)
	o.UnitDone(u)
	o.Saved(time.Millisecond)
	o.Retrying("source", resilience.State{})
	o.Stalled("send")
	o.ChunkMerged(pipeline.ChunkStats{Rows: 10, Dropped: 2, Bytes: 640})
	o.ChunkGivenUp(snapshot.ByDDL)
	o.LineStarted()
	o.LineEnded(&resilience.Error{Class: resilience.Transient, Code: "gone", Op: "x"})
	o.LineEnded(nil)
	_, body := get(t, s.handler(false), "GET", "/metrics")
	for _, want := range []string{
		`cdcd_read_rows_total{pipeline="a"} 3`, `cdcd_sink_transactions_total{pipeline="a"} 2`,
		`cdcd_pipeline_latency_seconds_sum{pipeline="a"} 2`, `cdcd_pipeline_lag_seconds{pipeline="a"} 1.5`,
		`cdcd_pipeline_lag_transactions{pipeline="a"} 2`, `cdcd_source_lag_bytes{pipeline="a"} 99`,
		`cdcd_source_purge_seconds{pipeline="a"} 3600`, `cdcd_pipeline_state{pipeline="a",state="running"} 1`,
		`cdcd_pipeline_errors_total{class="transient",code="gone",pipeline="a"} 1`,
		`cdcd_pipeline_stalls_total{pipeline="a",stage="send"} 1`, `cdcd_checkpoint_save_seconds_count{pipeline="a"} 1`,
		`cdcd_pipeline_retries_total{pipeline="a",where="source"} 1`,
		`cdcd_snapshot_rows_total{pipeline="a"} 10`, `cdcd_snapshot_dropped_rows_total{pipeline="a"} 2`,
		`cdcd_snapshot_bytes_total{pipeline="a"} 640`, `cdcd_snapshot_chunks_total{pipeline="a"} 1`,
		`cdcd_snapshot_chunks_given_up_total{pipeline="a",reason="ddl"} 1`, `cdcd_snapshot_tables_left{pipeline="a"} 2`,
		`cdcd_snapshot_progress_ratio{pipeline="a",table="shop.orders"} 0.25`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if n := strings.Count(body, "cdcd_snapshot_progress_ratio{"); n != 1 {
		t.Errorf("the progress of %d tables, want that of the one being read", n)
	}
}

func TestOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "cdcd.sock")
	sock, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := ListenSocket(path); resilience.CodeOf(err) != "already_running" {
		t.Errorf("a second daemon: %v", err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	a := running("a")
	go func() { served <- newServer(a).Serve(ctx, sock, tcp) }()

	c := NewClient(path)
	rep, err := c.Report(ctx)
	if err != nil || len(rep.Pipelines) != 1 || rep.Pipelines[0].Sink != "events" || rep.Version != "1.2.3" {
		t.Errorf("report %+v, %v", rep, err)
	}
	if info, err := c.Command(ctx, "pause", "a"); err != nil || info.State != pipeline.Paused {
		t.Errorf("pause: %+v, %v", info, err)
	}
	var refused *APIError
	if _, err := c.Command(ctx, "pause", "b"); !errors.As(err, &refused) || refused.Code != "unknown_pipeline" {
		t.Errorf("unknown pipeline: %v", err)
	}
	c.http.CloseIdleConnections()
	stop()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := c.Report(context.Background()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSocketAfterAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cdcd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	sock, err := ListenSocket(path)
	if err != nil {
		t.Fatalf("a socket left behind: %v", err)
	}
	sock.Close()
	if _, err := ListenSocket(filepath.Join(t.TempDir(), strings.Repeat("x", 120))); resilience.CodeOf(err) != "socket_path" {
		t.Errorf("a path too long: %v", err)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	h := bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("a body of 1 MiB was read")
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 1<<20))))
}

func TestRates(t *testing.T) {
	r, start := newRates(), time.Unix(1000, 0)
	for i := range 20 {
		r.add("a", sample{at: start.Add(time.Duration(i) * time.Second), transactions: uint64(i * 5), rows: uint64(i * 50)})
	}
	if tx, rows := r.of("a"); tx != 5 || rows != 50 {
		t.Errorf("%v tx/s, %v rows/s", tx, rows)
	}
	r.add("a", sample{at: start.Add(21 * time.Second)})
	if tx, _ := r.of("a"); tx != 0 {
		t.Errorf("after a rewind: %v tx/s", tx)
	}
}
