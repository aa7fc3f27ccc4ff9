package pipeline

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/snapshot"
	"github.com/cdcd-io/cdcd/source"
)

// seqAcrossGap is added to seq behind changes that were lost. How many
// transactions these were nobody knows, and at_least_once may have delivered some
// behind the stored position: none of those that follow may have the number of
// one.
const seqAcrossGap = 1 << 20

// bridges reports whether an error that ended a line says that changes are lost,
// and the configuration lets the pipeline go on behind them.
func (p *Pipeline) bridges(err error) bool {
	c := &p.cfg.Snapshot
	if c.Mode != SnapshotWhenNeeded || c.Gap != GapTruncate {
		return false
	}
	code := resilience.CodeOf(err)
	return resilience.ClassOf(err) == resilience.Fatal && (code == source.CodePurged || code == source.CodeReset)
}

// bridge begins a new generation of positions at the present end of the log. It
// stores the new position and, in the same write, that every table is to begin
// anew: the fact of the loss is never without the place behind it. A process that
// dies before that meets the same error again.
func (p *Pipeline) bridge(ctx context.Context, cp checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	marks, err := snapshot.ReadMarks(cp.Position.Marks)
	if err != nil {
		return cp, err
	}
	pos, err := p.deps.Source.Start(ctx)
	if err != nil {
		return cp, err
	}
	loss := snapshot.Loss{At: time.Now(), Code: resilience.CodeOf(p.lost), From: placeText(&cp.Position), To: placeText(&pos)}
	mark, err := marks.Scope.Lost(marks.NextRun(), loss).Mark()
	if err != nil {
		return cp, err
	}
	pos.Seq, pos.Marks = cp.Position.Seq+seqAcrossGap, map[string][]byte{}
	maps.Copy(pos.Marks, cp.Position.Marks)
	delete(pos.Marks, snapshot.DueKey) // every table is due
	pos.Marks[mark.Key] = mark.Value
	cp.Generation, cp.Position, cp.Saved = cp.Generation+1, pos, loss.At
	failpoint.Hit("gap.begin")
	if err := p.deps.Sink.Begin(ctx, cp); err != nil {
		return cp, err
	}
	failpoint.Hit("gap.begun")
	p.deps.Log.Error("changes were lost: each table begins anew, with a truncate event", "code", loss.Code, "err", p.lost,
		"from", loss.From, "to", loss.To)
	if o := p.deps.Observer.Gap; o != nil {
		o()
	}
	p.lost = nil
	return cp, p.deps.Store.Save(ctx, cp)
}

// placeText is a position for people.
func placeText(pos *event.Position) string {
	text := fmt.Sprintf("%s:%d", pos.File.Name, pos.Offset)
	if !pos.GTIDs.IsEmpty() {
		text += " (" + pos.GTIDs.String() + ")"
	}
	return text
}

// GapStatus tells of the last time that changes were lost.
type GapStatus struct {
	snapshot.Loss
	// Closed says that every table was read anew since.
	Closed bool `json:"closed"`
}
