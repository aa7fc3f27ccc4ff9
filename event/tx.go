package event

import (
	"iter"
	"time"
)

// Op is what happened to a row. The letters are those of the Debezium envelope.
type Op byte

// The operations of the stream. Read is a row seen by a snapshot.
const (
	Insert   Op = 'c'
	Update   Op = 'u'
	Delete   Op = 'd'
	Read     Op = 'r'
	Truncate Op = 't'
)

// String names the operation in words, for logs and errors.
func (o Op) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Read:
		return "read"
	case Truncate:
		return "truncate"
	}
	return "unknown operation"
}

// Tx describes one committed source transaction. It is immutable once the
// assembler has handed it on; all pieces of a transaction share one Tx. It
// lives until the last of them is released and is then used again for another
// transaction: copy what must outlive the pieces (strings and DDL may be kept).
//
// A transaction without captured rows (filtered, rolled back, DDL, a bare
// heartbeat of the position) still travels, so that the position moves.
type Tx struct {
	Begin    Coord  // where it started in the log: file and offset of its first event
	End      Coord  // where it ended and what it adds to the position
	ServerID uint32 // server_id of the server that first executed it
	Thread   uint32 // connection id on that server, 0 when not known
	// Commit is the commit time of the source in microseconds since the epoch,
	// Micros false when the server gave whole seconds only.
	Commit time.Time
	Micros bool
	// Received is when its last event was read from the connection.
	Received time.Time

	Rows uint64 // captured rows, those of Done included
	// Done is how many of them, from the first on, were delivered in parts by an
	// earlier line. They do not come again: no piece is the First one.
	Done   uint64
	Tables []TableCount // captured tables in order of first touch, with their row counts
	DDL    *DDL         // set when the transaction is a DDL statement on captured tables; then Rows is 0
	Silent bool         // moves the position without being a transaction: Seq does not rise
	Key    string       // GTID text, or "file:offset" of Begin where GTID is off; the transaction id in headers and envelopes
}

// TableCount counts the captured rows of one table in a transaction.
type TableCount struct {
	Database, Table string
	Rows            uint64
}

// DDL is a statement that changed definitions (or, for TRUNCATE and DROP, rows).
type DDL struct {
	Database string // default database of the statement
	SQL      string
	Kind     DDLKind
	// Tables are the tables that TRUNCATE emptied or DROP removed, in the order
	// of the statement and only those that are captured. Table versions come
	// from earlier events and are nil where none was seen.
	Tables []DDLTable
	// Names are the tables that the statement names, captured or not: it changes
	// rows and definitions of no others. Empty where that is not known.
	Names []TableName
	// Altered are the captured tables that are there before or after the statement
	// and of whose rows it changes something that no event of the log tells.
	Altered []DDLAltered
	// Reread says that nobody executed this: a snapshot reads the tables from
	// their beginning, and what is known of their rows counts no more. Gap says
	// that it does so because changes of the source were lost.
	Reread, Gap bool
}

// TableName is a table as a statement names it, in the statement's case.
type TableName struct{ Database, Name string }

// DDLAltered is one table of whose rows a statement may change something.
type DDLAltered struct {
	Database, Name string
	Effect         DDLEffect
}

// DDLEffect is what a statement does to rows without row events. A larger one
// includes the smaller ones.
type DDLEffect uint8

// The effects. The zero DDLEffect is none.
const (
	// KeyMayChange: it drops or renames columns, of which none is known to be
	// part of the key, and none is known not to be.
	KeyMayChange DDLEffect = iota + 1
	// ValuesChange: rows may have other values than before.
	ValuesChange
	// RowsMove: rows go, come, or have another key than before.
	RowsMove
)

// DDLTable is one table named by a DDL statement.
type DDLTable struct {
	Database, Name string
	Table          *Table
}

// DDLKind tells apart the statements that change rows without row events.
type DDLKind uint8

// The kinds of DDL the line distinguishes.
const (
	DDLOther DDLKind = iota
	DDLTruncate
	DDLDrop
	DDLAlter
	DDLRename
	DDLCreate
)

// RawRows is one rows event of the log, as the server sent it.
type RawRows struct {
	Table *Table
	Op    Op
	Type  byte   // event type code of the server; Layout needs it to read Body
	Body  []byte // event body after the fixed post-header (table id, flags, extra data); starts at the column count
	Pos   uint64 // offset of the event's first byte in the log file
	Time  uint32 // event header time, seconds since the epoch
	Rows  uint32 // rows in Body, as Layout.Count found them
	// Ordinal and TableOrdinal number the first row of Body, from 0, among all
	// captured rows of the transaction and among those of its table.
	Ordinal      uint64
	TableOrdinal uint64
}

// Piece is a run of consecutive raw row events of one transaction: the unit in
// which work is handed to encoders. Bodies add up to at most about 1 MiB, more
// only when a single event is larger. Each transaction yields at least one
// piece; one without rows yields exactly one, with no events.
//
// A piece is owned by whoever took it from the ring until Release is called,
// exactly once; after that Events and all bytes they point to are gone.
type Piece struct {
	Tx          *Tx
	Events      []RawRows
	First, Last bool // whether the piece opens and closes its transaction (no piece opens one with Tx.Done)
	Bytes       int  // sum of the bodies
	// Free returns the memory of the piece to its owner; nil where there is none.
	Free func(*Piece)
}

// Release gives the memory of the piece back. Call it exactly once.
func (p *Piece) Release() {
	if p.Free != nil {
		p.Free(p)
	}
}

// RowChange is one decoded row. It and everything it points to, except Table,
// is valid only until the next step of the iteration.
type RowChange struct {
	Table *Table
	Op    Op
	// Before and After are the row images, one Value a column of Table in
	// table order; nil where the operation has no such image.
	Before, After []Value
	Ordinal       uint64 // from 0, among the captured rows of the transaction
	TableOrdinal  uint64 // from 0, among the captured rows of this table in the transaction
	Pos           uint64 // offset of the row's event in the log file
	Row           uint32 // index of the row inside its event, from 0
	Time          uint32 // event header time, seconds since the epoch
}

// Layout tells how raw rows of one table version are read. The source
// implements it; it is immutable and safe for concurrent use.
type Layout interface {
	// Count walks the raw rows and returns how many there are. An error means
	// that the bytes do not fit the table version.
	Count(typ byte, body []byte) (rows uint32, err error)
	// Next decodes the row at offset off (0 for the first) into r.Change's
	// images and returns the offset of the row after it, len(raw.Body) at the
	// end. It keeps no reference to r.
	Next(raw *RawRows, off int, r *RowReader) (next int, err error)
}

// RowReader decodes rows without allocating: it owns the images and the
// scratch memory that values point into. One reader serves one goroutine.
type RowReader struct {
	Change  RowChange
	Scratch []byte // values that had to be rendered live here until the next row
	before  []Value
	after   []Value
}

// Before returns n values for the before image and sets it as such.
func (r *RowReader) Before(n int) []Value {
	r.before = grow(r.before, n)
	r.Change.Before = r.before
	return r.before
}

// After returns n values for the after image and sets it as such.
func (r *RowReader) After(n int) []Value {
	r.after = grow(r.after, n)
	r.Change.After = r.after
	return r.after
}

func grow(v []Value, n int) []Value {
	if cap(v) < n {
		v = make([]Value, n)
	}
	return v[:n]
}

// Rows iterates over the decoded rows of the piece in log order, without those
// that Tx.Done covers: the first one may lie inside its event. The yielded
// RowChange belongs to r and is overwritten by the next step. After an error
// the iteration ends.
func (p *Piece) Rows(r *RowReader) iter.Seq2[*RowChange, error] {
	return func(yield func(*RowChange, error) bool) {
		done := p.done()
		for i := range p.Events {
			raw := &p.Events[i]
			if raw.Ordinal+uint64(raw.Rows) <= done {
				continue
			}
			for off, row := 0, uint32(0); row < raw.Rows; row++ {
				r.start(raw, row)
				next, err := raw.Table.Layout.Next(raw, off, r)
				if err != nil {
					yield(nil, err)
					return
				}
				if r.Change.Ordinal >= done && !yield(&r.Change, nil) {
					return
				}
				off = next
			}
		}
	}
}

func (p *Piece) done() uint64 {
	if p.Tx == nil {
		return 0
	}
	return p.Tx.Done
}

func (r *RowReader) start(raw *RawRows, row uint32) {
	r.Scratch = r.Scratch[:0]
	r.Change = RowChange{
		Table: raw.Table, Op: raw.Op, Row: row, Pos: raw.Pos, Time: raw.Time,
		Ordinal: raw.Ordinal + uint64(row), TableOrdinal: raw.TableOrdinal + uint64(row),
	}
}
