package sink

import (
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
)

// Ending tells the records that end a source transaction. They carry its number
// of rows, so that a reader knows when it has them all. A packer has one.
type Ending struct {
	piece  *event.Piece
	sawRow bool
}

// Start is told what Packer.Start is.
func (e *Ending) Start(p *event.Piece) { e.piece, e.sawRow = p, false }

// Rows returns how many rows the transaction has and whether r ends it: r is of
// the last row, or the END of a topic of transactions, which is no row and comes
// after all. In a transaction without rows every record counts as that. It is
// asked once for each record, in order.
func (e *Ending) Rows(r *format.Record) (n uint64, ends bool) {
	if e.piece == nil {
		return 0, false
	}
	n = e.piece.Tx.Rows
	if r.Ordinal > 0 {
		e.sawRow = true
		return n, r.Ordinal == n
	}
	return n, e.piece.Last && (e.sawRow || !e.piece.First || n == 0)
}
