package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/internal/verify"
	"github.com/cdcd-io/cdcd/pipeline"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink/kafka"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// verifyRun is one run of cdcd verify: connections of its own beside those of
// the pipeline.
type verifyRun struct {
	flags    *verifyFlags
	line     *linePlan
	source   *mysql.Source
	rows     source.ChunkReader
	reader   *kafka.Reader
	encoders encoders
	progress *verifyProgress
	daemon   *admin.Client
}

func (v *verifyFlags) open(ctx context.Context, sys *system, p *plan, l *linePlan) (*verifyRun, error) {
	cfg := *l.sink.kafka
	cfg.Installation, cfg.Pipeline = p.file.Installation, l.Name
	r := &verifyRun{flags: v, line: l, progress: newVerifyProgress(sys), daemon: admin.NewClient(v.socket)}
	r.source = mysql.New(*l.source, p.file.Installation, l.Name)
	r.encoders = l.format.encoders(l.formatDeps(sys, admin.NewMetrics()))
	var err error
	if r.rows, err = r.source.OpenReader(ctx); err != nil {
		return nil, err
	}
	if r.reader, err = kafka.NewReader(cfg, kafka.Options{}); err != nil {
		r.rows.Close()
		return nil, err
	}
	if err := r.ready(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// ready tells what keeps all tables from being verified.
func (r *verifyRun) ready(ctx context.Context) error {
	start, err := r.reader.Checkpoint(ctx)
	switch {
	case err != nil:
		return err
	case start.IsZero():
		return &exitError{code: exitFailed, err: fmt.Errorf("pipeline %s has stored no position yet", r.line.Name), hint: "it must run while it is verified: cdcd status tells how it is"}
	case r.flags.repair:
		_, err := r.daemon.Pipeline(ctx, r.line.Name)
		return daemonError(err)
	}
	return nil
}

func (r *verifyRun) close() {
	r.progress.end()
	r.rows.Close()
	r.reader.Close()
}

// tables verifies those with the names, or all that are captured. What keeps a
// table from being verified does not keep the others; a pipeline that stands
// still does, and the end of ctx.
func (r *verifyRun) tables(ctx context.Context, names []string) ([]tableFound, error) {
	all, err := r.source.Tables(ctx)
	if err != nil {
		return nil, err
	}
	topics := map[string]int{}
	known := map[string]bool{}
	for _, t := range all {
		topics[r.topic(t)]++
		known[t.Database+"."+t.Name] = true
	}
	for _, n := range names {
		if !known[n] {
			return nil, usagef("", "table %s is not captured, or not there", n)
		}
	}
	var found []tableFound
	var still error
	for _, t := range all {
		if len(names) > 0 && !slices.Contains(names, t.Database+"."+t.Name) {
			continue
		}
		f, err := tableFound{}, still
		if still == nil {
			f, err = r.table(ctx, t, topics[r.topic(t)] > 1)
		}
		if resilience.CodeOf(err) == codeStandsStill {
			still = err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if code := exitCode(err); code == exitNoDaemon {
			return nil, err
		}
		f.Table, f.Topic = t.Database+"."+t.Name, r.topic(t)
		if err != nil {
			x := resilience.Found(err)
			f.Problem = &problemFound{x.Code, x.Text, x.Fix}
		}
		found = append(found, f)
	}
	return found, nil
}

func (r *verifyRun) topic(t source.TableInfo) string {
	return r.line.format.debezium.TopicOf(r.line.Pipeline.Source, t.Database, t.Name)
}

// table verifies one table and, if that is asked for, has it repaired.
func (r *verifyRun) table(ctx context.Context, info source.TableInfo, shared bool) (tableFound, error) {
	if shared {
		return tableFound{}, fmt.Errorf("several tables share the topic %s: it cannot be told which rows are whose", r.topic(info))
	}
	deps, err := r.deps(ctx, info)
	if err != nil {
		return tableFound{}, err
	}
	t, err := verify.New(r.flags.tune, deps)
	if err != nil {
		return tableFound{}, err
	}
	defer t.Close()
	found, err := t.Run(ctx)
	if err == nil && r.flags.repair && found.Count() > found.Extra {
		if err = r.repair(ctx, info, t); err == nil {
			found, err = t.Again(ctx)
		}
	}
	if err == nil && found.Unchecked > 0 {
		err = fmt.Errorf("%d more keys may differ and were not looked at again: there was no room for them; cdcd snapshot start reads the whole table", found.Unchecked)
	}
	return tableFound{Result: found}, err
}

// deps are what the verification of a table works with, as of now.
func (r *verifyRun) deps(ctx context.Context, info source.TableInfo) (verify.Deps, error) {
	name := info.Database + "." + info.Name
	start, err := r.reader.Checkpoint(ctx)
	if err != nil {
		return verify.Deps{}, err
	}
	marks, err := snapshot.ReadMarks(start.Position.Marks)
	if err != nil {
		return verify.Deps{}, err
	}
	state, read := marks.States[snapshot.Name{Database: info.Database, Table: info.Name}]
	if read && !state.Ended() {
		return verify.Deps{}, errors.New("the table is still being read: cdcd snapshot list tells how far")
	}
	d := verify.Deps{
		Info: info, Rows: patientRows{r.rows, r.flags.wait}, Topic: verifyTopic{r.reader, r.topic(info), r.flags.wait},
		Encoder: r.encoders(new(format.Routes), start.Position.Flavor), Keys: verifyKeys{r.line.format.debezium},
		Where: r.line.Line.Snapshot.Where[name], Start: start.Position, Reach: r.reach,
		Progress: func(step string, done, total uint64) { r.progress.show(name, step, done, total) },
	}
	if read && state.Done && state.Where == "" {
		d.Read = verify.Span{Began: state.Started, Ended: state.Finished}
	}
	return d, nil
}

// verifyKeys reads keys by the format and writes conditions for the source.
type verifyKeys struct{ format *debezium.Config }

// Parse implements verify.Keys.
func (k verifyKeys) Parse(t *event.Table, key []byte) ([]event.Value, error) {
	return k.format.ParseKey(t, key)
}

// Condition implements verify.Keys.
func (k verifyKeys) Condition(t *event.Table, keys [][]event.Value) (string, error) {
	return mysql.KeyCondition(t, keys)
}

// repair has the daemon read the rows again that are missing or different.
func (r *verifyRun) repair(ctx context.Context, info source.TableInfo, t *verify.Table) error {
	conditions, err := t.Repairs()
	if err != nil {
		return err
	}
	for i, where := range conditions {
		r.progress.show(info.Database+"."+info.Name, "repairing", uint64(i), uint64(len(conditions)))
		if err := r.readAgain(ctx, snapshot.Name{Database: info.Database, Table: info.Name}, where); err != nil {
			return err
		}
	}
	return nil
}

// readAgain asks for rows and waits until they have left.
func (r *verifyRun) readAgain(ctx context.Context, n snapshot.Name, where string) error {
	before, err := r.runOf(ctx, n)
	if err != nil {
		return err
	}
	q := pipeline.SnapshotRequest{Verb: "start", Tables: []string{n.Database + "." + n.Table}, Where: where}
	if _, err := r.daemon.Snapshot(ctx, r.line.Name, q); err != nil {
		return daemonError(err)
	}
	for until := time.Now().Add(r.flags.wait); ; {
		s, err := r.runOf(ctx, n)
		if err != nil {
			return err
		}
		if s.Run > before.Run && s.Ended() {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the daemon has not read the rows again within %s: cdcd snapshot list tells how far it is", r.flags.wait)
		}
		if err := pauseFor(ctx, reachEvery); err != nil {
			return err
		}
	}
}

// runOf returns the stored state of a table's reading, zero when there is none.
func (r *verifyRun) runOf(ctx context.Context, n snapshot.Name) (snapshot.State, error) {
	cp, err := r.reader.Checkpoint(ctx)
	if err != nil {
		return snapshot.State{}, err
	}
	marks, err := snapshot.ReadMarks(cp.Position.Marks)
	return marks.States[n], err
}
