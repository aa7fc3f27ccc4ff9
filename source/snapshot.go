package source

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// Snapshotter is the optional interface of a Source whose tables can be read,
// chunk by chunk and without a lock, beside its stream. Its methods may be
// called from any goroutine.
type Snapshotter interface {
	// Tables lists the captured tables that exist now, sorted by database and
	// name.
	Tables(ctx context.Context) ([]TableInfo, error)
	// Filter is the text of the filter that says which tables are captured, and
	// Matches tells whether a filter of that text lets a table through. A text
	// that a later release cannot read lets nothing through.
	Filter() string
	Matches(filter, database, table string) bool
	// OpenReader returns a reader with a connection of its own, for one goroutine.
	OpenReader(ctx context.Context) (ChunkReader, error)
}

// TableInfo is what is known of a table before it is read.
type TableInfo struct {
	Database, Name string
	// Key names the columns that chunks are cut by, in key order: those of the
	// primary key, else of a unique key without nullable columns. Empty: the
	// table has neither and is read whole.
	Key   []string
	Rows  uint64 // the server's estimate
	Bytes uint64 // the server's estimate of the data's size
}

// ChunkReader reads chunks of tables. After a Transient error it may be used
// again; it connects anew when it must.
type ChunkReader interface {
	// Read reads the rows that follow req.After in the order of the key. It
	// returns only rows of a state of the table that shows everything up to
	// req.Seen, and waits for the server to show that, within ctx.
	//
	// Errors: Fatal with CodeNoTable when the table does not exist (any more),
	// CodePlace when the order of its key has changed since req.After was told,
	// CodeNoKey when it has none; Fatal by name when its rows cannot be read or
	// rendered; Transient else.
	Read(ctx context.Context, req ChunkRequest) (Chunk, error)
	// ReadWhole reads all rows of a table at once, in no order: the one way for
	// one without a Key. Bodies go to take as they come, without Table, and are
	// its to keep. Of the request it heeds Database, Table, Seen and Where. The
	// chunk it returns has no Rows, Key, Last and Max. Errors are those of Read,
	// and those of take; CodePlace says that the table has got a Key.
	ReadWhole(ctx context.Context, req ChunkRequest, take func(event.RawRows) error) (Chunk, error)
	// Running is how many statements the server executes at this moment, 0 before
	// the first Read.
	Running(ctx context.Context) (int, error)
	Close() error
}

// The codes of errors of reads that are not the end of a snapshot.
const (
	// CodeNoTable: the table does not exist.
	CodeNoTable = "snapshot_no_table"
	// CodePlace: the table has no such place as After or Until any more, since
	// its key, or the order of that, has changed; it can be read from its start,
	// by the key that Tables tells.
	CodePlace = "snapshot_place"
	// CodeNoKey: the table has no key to cut chunks by.
	CodeNoKey = "snapshot_no_key"
)

// ChunkRequest asks for one chunk.
type ChunkRequest struct {
	Database, Table string
	// Seen is what the stream has handed on: the read must see all of it.
	Seen event.Position
	// Fresh says that the definition of the table may have changed since the
	// last read and must be looked up.
	Fresh bool
	// After is the Last of the chunk before, nil at the start of the table.
	After []byte
	// Until is the largest key to read, a Max of the table's first chunk; nil: no
	// bound. Rows that came to lie behind it are in the stream.
	Until []byte
	// Where is an SQL condition that rows must meet; "" for all.
	Where string
	// ByKeys says that Where names rows by their whole keys. The server finds
	// them by the index, however few they are: one statement reads a chunk.
	ByKeys bool
	// Rows and Bytes are the most to read: the first that is reached ends the
	// chunk. A chunk has at least one row, unless the table has no more or Where
	// lets few through.
	Rows, Bytes int
}

// Chunk is what was read. Its memory belongs to the caller.
type Chunk struct {
	Table *event.Table
	// Key are the indexes in Table.Columns of the columns the chunk was cut by.
	Key []int
	// Rows are the rows in key order, Op Read, in bodies of at most about 256
	// KiB. Bodies have no head: a run of whole rows cut out of one is a body too,
	// so that rows can be left out. Ordinals are left to the caller.
	Rows  []event.RawRows
	Count int // of rows
	Bytes int // of the bodies
	// Took is how long the server took to give the rows, once it showed Seen.
	Took time.Duration
	// Last is the key of the last row, opaque text; where Where was looked for
	// behind it, the place up to which that was done, and what it was before if
	// nothing was done. Max is the largest key there is, set on the first chunk
	// (After is nil); nil when the table is empty.
	Last, Max []byte
	// End says that no row is left behind Last, up to Until.
	End bool
	// High is the end of the log, file and offset, after the read: no change of
	// a row in the chunk that the read could see is behind it. It is a place in
	// the log of the server that req.Seen names; of any other it means nothing.
	High event.Coord
}
