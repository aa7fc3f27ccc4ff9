package mysql

import (
	"context"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// serverView implements source.Watermark for the server at the source's hosts.
type serverView struct {
	source *Source // of its own
	conn   *session
}

// NewWatermark returns what tells of the server of a pipeline what it shows. The
// names are those of New; it connects when it is asked.
func NewWatermark(cfg Config, installation, pipeline string) source.Watermark {
	return &serverView{source: New(cfg, installation, pipeline)}
}

// Ask implements source.Watermark.
func (v *serverView) Ask(ctx context.Context) (source.Shown, error) {
	if v.conn == nil {
		if err := v.connect(ctx); err != nil {
			return nil, err
		}
	}
	s, err := v.conn.shownNow(ctx)
	if err != nil {
		_ = v.Close()
		return nil, err
	}
	v.source.worked = true
	return s, nil
}

func (v *serverView) connect(ctx context.Context) error {
	q, err := v.source.connect(ctx)
	if err != nil {
		return err
	}
	mode, err := q.introduce(ctx)
	if err == nil && mode != "ON" {
		err = q.prepareWatermark(ctx, mode)
	}
	if err != nil {
		_ = q.Close()
		return err
	}
	v.conn = q
	return nil
}

// Close implements source.Watermark.
func (v *serverView) Close() error {
	q := v.conn
	if v.conn = nil; q == nil {
		return nil
	}
	return q.Close()
}

// shownNow asks for what every SELECT shows that begins from now on.
func (q *session) shownNow(ctx context.Context) (source.Shown, error) {
	switch {
	case q.maria():
		return q.shownBySnapshot(ctx)
	case q.byMark:
		return q.shownByMark(ctx)
	}
	r, err := q.row(ctx, "SELECT @@global.gtid_mode, @@global.gtid_executed")
	if err != nil {
		return nil, err
	}
	if r[0] != "ON" {
		return nil, resilience.Errorf(resilience.Transient, "snapshot_gtid_mode", opAsk, "gtid_mode has become %s", r[0])
	}
	set, err := parseSet(q.flavor, r[1])
	if err != nil {
		return nil, err
	}
	return shownSet{set}, nil
}

// shownBySnapshot takes a consistent snapshot for its place in MariaDB's log.
func (q *session) shownBySnapshot(ctx context.Context) (source.Shown, error) {
	if _, err := q.ask(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return nil, err
	}
	q.viewing = true
	file, offset, err := q.snapshotPlace(ctx)
	if err != nil {
		return nil, err
	}
	return shownPlace{fileNumber(file), offset}, q.endView(ctx)
}

// shownByMark commits a row: what was in the log before it shows.
func (q *session) shownByMark(ctx context.Context) (source.Shown, error) {
	file, offset, _, err := q.logEnd(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.pastMark(ctx, tableName{}); err != nil {
		return nil, err
	}
	return shownPlace{fileNumber(file), offset}, nil
}

// shownSet is what MySQL has executed, where it numbers everything.
type shownSet struct{ executed *event.GTIDSet }

// End implements source.Shown. What has no number changes no row.
func (s shownSet) End(end event.Coord) bool {
	return end.GTID.IsZero() || s.executed.Contains(end.GTID)
}

// Position implements source.Shown.
func (s shownSet) Position(p *event.Position) bool { return s.executed.ContainsSet(p.GTIDs) }

// shownPlace is a place in the log up to which everything shows.
type shownPlace struct{ file, offset uint64 }

// End implements source.Shown.
func (s shownPlace) End(end event.Coord) bool {
	return end.File != nil && s.behind(fileNumber(end.File.Name), end.Offset)
}

// Position implements source.Shown.
func (s shownPlace) Position(p *event.Position) bool {
	return s.behind(fileNumber(p.File.Name), p.Offset)
}

func (s shownPlace) behind(file, offset uint64) bool {
	return s.file > file || s.file == file && s.offset >= offset
}
