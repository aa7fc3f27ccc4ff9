package proof

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// Rig is a source, a broker, a daemon between them and a workload: what every
// proof and the demo stand on.
type Rig struct {
	Dir     string
	Env     *testenv.Env
	DB      *testenv.MySQL
	Replica *testenv.MySQL // of DB, where the daemon reads tables from one; else nil
	Kafka   *testenv.Kafka // nil where the daemon writes to files
	Output  string         // the file, "" where it does not
	Daemon  *Daemon
	Load    *Workload
	Socket  string
	// InParts is the number of rows above which the judge lets a transaction lie
	// in several Kafka transactions; 0 for none.
	InParts uint64
}

// RigOptions choose what a rig is made of.
type RigOptions struct {
	Flavor   testenv.Flavor
	MySQL    map[string]string // further server variables
	Source   string            // address the daemon reads from; "" for the server itself
	Brokers  string            // address the daemon sends to; "" for the broker itself
	Delivery string            // exactly_once (default) or at_least_once
	Sink     string            // further settings of the sink, in YAML flow style: ", compression: none"
	Pipeline string            // further settings of the pipeline, likewise
	Format   string            // settings of the format, likewise but without the first comma; default "decimal: string"
	Replica  bool              // read tables from a replica
	Reading  string            // further settings of the source, likewise
	Exclude  []string          // columns the daemon leaves out, as database.table.column
	Database string            // default shop
	Schema   string            // statements that fill the database; default the workload's tables
	Kafka    testenv.KafkaOptions
	File     bool // no broker: the daemon writes to files
	Race     bool // build the daemon with the race detector
}

// NewRig starts the servers and builds the daemon into dir. The caller owns env.
func NewRig(ctx context.Context, env *testenv.Env, dir string, o RigOptions) (*Rig, error) {
	r := &Rig{Dir: dir, Env: env}
	var err error
	if r.DB, err = env.MySQL(ctx, testenv.MySQLOptions{Flavor: o.Flavor, Config: o.MySQL}); err != nil {
		return nil, err
	}
	if o.Replica {
		if r.Replica, err = env.MySQL(ctx, testenv.MySQLOptions{Flavor: o.Flavor, ServerID: 2}); err != nil {
			return nil, err
		}
		if err := r.Replica.Replicate(ctx, r.DB); err != nil {
			return nil, err
		}
		o.Reading += fmt.Sprintf(", snapshot_from: [%q]", r.Replica.Addr())
	}
	if o.File {
		r.Output = filepath.Join(dir, "changes.jsonl")
	} else if r.Kafka, err = env.Kafka(ctx, o.Kafka); err != nil {
		return nil, err
	}
	bin, err := Build(ctx, dir, o.Race)
	if err != nil {
		return nil, err
	}
	if o.Database == "" {
		o.Database = "shop"
	}
	r.Load = &Workload{
		Addr: r.DB.Addr(), User: testenv.RootUser, Password: testenv.RootPassword, Database: o.Database,
		Writers: 4, Seed: 1,
	}
	if o.Schema == "" {
		o.Schema = strings.Join(r.Load.Schema(), ";\n")
	}
	if err := r.DB.Exec(ctx, "CREATE DATABASE "+o.Database+"; USE "+o.Database, o.Schema); err != nil {
		return nil, err
	}
	return r, r.configure(bin, o)
}

// configure writes the daemon's configuration. The path of a socket is short;
// that of a test's folder need not be.
func (r *Rig) configure(bin string, o RigOptions) error {
	run, err := os.MkdirTemp("", "cdcd")
	if err != nil {
		return err
	}
	r.Socket = filepath.Join(run, "s")
	source, format := o.Source, o.Format
	if source == "" {
		source = r.DB.Addr()
	}
	if format == "" {
		format = "decimal: string"
	}
	text := fmt.Sprintf(`sources:
  shop: {hosts: [%q], user: %s, password: "${env:CDCD_MYSQL_PASSWORD}", tables: {include: ["%s.*"]}, columns: {exclude: [%s]}%s}
sinks:
  events: {%s}
pipelines:
  shop-events: {source: shop, sink: events, format: {%s}%s}
checkpoint: {file: {dir: %q}}
admin: {socket: %q}
`, source, testenv.ReaderUser, r.Load.Database, strings.Join(o.Exclude, ", "), o.Reading, r.sinkText(o), format, o.Pipeline, filepath.Join(r.Dir, "checkpoints"), r.Socket)
	path := filepath.Join(r.Dir, "cdcd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	r.Daemon = &Daemon{Bin: bin, Dir: r.Dir, Config: path, Env: []string{"CDCD_MYSQL_PASSWORD=" + testenv.ReaderPassword}}
	return nil
}

// sinkText is the sink of the daemon's configuration.
func (r *Rig) sinkText(o RigOptions) string {
	if o.File {
		return fmt.Sprintf("file: {path: %q%s}", r.Output, o.Sink)
	}
	brokers := cmp.Or(o.Brokers, r.Kafka.Bootstrap())
	return fmt.Sprintf("kafka: {brokers: [%q], delivery: %s, create_topics: {partitions: 3}%s}", brokers, cmp.Or(o.Delivery, "exactly_once"), o.Sink)
}

// Close ends the daemon, if it runs, and removes its socket's folder.
func (r *Rig) Close() {
	if r.Daemon.cmd != nil {
		r.Daemon.Kill()
	}
	_ = os.RemoveAll(filepath.Dir(r.Socket))
}

// Topic names the topic of a table.
func (r *Rig) Topic(table string) string { return "shop." + r.Load.Database + "." + table }

// Pipeline asks the daemon for the status of its pipeline.
func (r *Rig) Pipeline(ctx context.Context) (PipelineStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := r.Daemon.Status(ctx, r.Socket)
	if err != nil {
		return PipelineStatus{}, err
	}
	if len(list) != 1 {
		return PipelineStatus{}, fmt.Errorf("%d pipelines, want one", len(list))
	}
	return list[0], nil
}

// AwaitState waits until the pipeline is in the state.
func (r *Rig) AwaitState(ctx context.Context, state string) error {
	return r.await(ctx, "pipeline to be "+state, func(p PipelineStatus) bool { return p.State == state })
}

// AwaitCaughtUp waits until the stored position covers all the source has.
func (r *Rig) AwaitCaughtUp(ctx context.Context) error {
	want, at, err := r.end(ctx)
	if err != nil {
		return err
	}
	return r.await(ctx, "pipeline to reach "+want, func(p PipelineStatus) bool { return at(&p) == want })
}

// end is all that the source has: its GTIDs, or the end of its log where it has
// none; at is what a pipeline has of it.
func (r *Rig) end(ctx context.Context) (want string, at func(*PipelineStatus) string, err error) {
	at = func(p *PipelineStatus) string { return p.GTIDs }
	if r.DB.Flavor() == testenv.MariaDB118 {
		want, err = r.DB.Scalar(ctx, "SELECT @@global.gtid_binlog_pos")
		return want, at, err
	}
	if want, err = r.DB.Scalar(ctx, "SELECT @@global.gtid_executed"); want != "" || err != nil {
		return strings.ReplaceAll(want, "\n", ""), at, err
	}
	rows, err := r.DB.Query(ctx, "SHOW BINARY LOG STATUS")
	if err != nil {
		return "", nil, err
	}
	at = func(p *PipelineStatus) string { return fmt.Sprintf("%s:%d", p.File, p.Offset) }
	return *rows[0][0] + ":" + *rows[0][1], at, nil
}

// AwaitSnapshot waits until all tables are read that are to be read, of which
// there must be some.
func (r *Rig) AwaitSnapshot(ctx context.Context) error {
	return r.await(ctx, "snapshots to end", finished)
}

func finished(p PipelineStatus) bool {
	for _, s := range p.Snapshot {
		if !s.Done {
			return false
		}
	}
	return len(p.Snapshot) > 0 && !p.Planning
}

// awaitLimit bounds what one wait for the daemon may take.
const awaitLimit = 90 * time.Second

// await polls the status until ok, and gives up at once when the daemon ended
// or the pipeline stopped.
func (r *Rig) await(ctx context.Context, what string, ok func(PipelineStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	return Eventually(ctx, what, func() (bool, error) {
		p, err := r.Pipeline(ctx)
		if err != nil {
			return r.ended(err)
		}
		if ok(p) {
			return true, nil
		}
		return p.State == "stopped", fmt.Errorf("wait for %s: it is %s at %s: %s", what, p.State, p.GTIDs, p.Error)
	})
}

// ended says whether the daemon has, with its log.
func (r *Rig) ended(err error) (bool, error) {
	select {
	case <-r.Daemon.Done():
		return true, fmt.Errorf("%w; the daemon has ended: %v\n%s", err, r.Daemon.err, r.Daemon.Log())
	default:
		return false, err
	}
}

// Read consumes every topic of the pipeline with the Java consumer, or reads its
// files.
func (r *Rig) Read(ctx context.Context) ([]Record, error) {
	if r.Output != "" {
		return ReadFiles(r.Output)
	}
	recs, err := r.Kafka.Consume(ctx, testenv.ConsumeOptions{Pattern: `shop\..*`})
	if err != nil {
		return nil, err
	}
	out := make([]Record, len(recs))
	for i, rec := range recs {
		out[i] = FromEnv(rec)
	}
	return out, nil
}

// FromEnv converts a record of the Java consumer.
func FromEnv(rec testenv.Record) Record {
	h := make(map[string]string, len(rec.Headers))
	for _, kv := range rec.Headers {
		h[kv.Key] = string(kv.Value)
	}
	return Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Headers: h}
}

// Judgement is what the judge found, with the numbers that show it looked.
type Judgement struct {
	Records, Changes, Transactions int
	Read                           int // rows of snapshots
	ReadBy                         int // processes that delivered some
	Committed, RolledBack, Unknown int
	Violations                     []Violation
}

// Judge reads everything and compares it with the ledger and the tables. The
// daemon must have caught up and the workload must have ended.
func (r *Rig) Judge(ctx context.Context, exactlyOnce bool) (Judgement, error) {
	var j Judgement
	recs, err := r.Read(ctx)
	if err != nil {
		return j, err
	}
	changes, err := ParseChanges(recs)
	if err != nil {
		return j, err
	}
	j.Records, j.Changes = len(recs), len(changes)
	seqs, terms := map[uint64]bool{}, map[uint64]bool{}
	for _, c := range changes {
		if c.Op == "r" {
			j.Read++
			terms[c.Term] = true
		} else {
			seqs[c.Seq] = true
		}
	}
	j.Transactions, j.ReadBy = len(seqs), len(terms)
	for _, o := range r.Load.Ledger() {
		switch o {
		case Committed:
			j.Committed++
		case RolledBack:
			j.RolledBack++
		case Unknown:
			j.Unknown++
		}
	}
	j.Violations = Check(changes, Rules{ExactlyOnce: exactlyOnce, InParts: r.InParts})
	if exactlyOnce {
		j.Violations = append(j.Violations, CheckVersions(changes, "ver")...)
	}
	j.Violations = append(j.Violations, r.Load.CheckLedger(changes, r.Topic("ledger"))...)
	conn, err := r.DB.Conn(ctx, r.Load.Database)
	if err != nil {
		return j, err
	}
	defer conn.Close()
	diff, err := r.Load.Compare(conn, Fold(changes), r.Topic)
	j.Violations = append(j.Violations, diff...)
	return j, err
}

// readThrough lets the daemon read from another address, a proxy's.
func (r *Rig) readThrough(addr string) error {
	text, err := os.ReadFile(r.Daemon.Config)
	if err != nil {
		return err
	}
	return os.WriteFile(r.Daemon.Config, []byte(strings.Replace(string(text), r.DB.Addr(), addr, 1)), 0o600)
}
