package event

import "time"

// EventKind says what an Event is.
type EventKind uint8

// The kinds of events a source stream yields. A transaction is one Begin, any
// number of Rows, and one Commit or Rollback; a DDL stands alone, after its
// Begin where the server has GTIDs. Heartbeat moves the position of an idle
// stream. Reset marks the seam of a new connection: an unfinished transaction
// before it is to be dropped, the server sends it again.
const (
	EvReset EventKind = iota + 1
	EvBegin
	EvRows
	EvCommit
	EvRollback
	EvDDL
	EvHeartbeat
)

// Event is one step of a source stream. The stream fills it; Raw.Body and all
// it points to, except Table and DDL, is valid only until the stream's next step.
type Event struct {
	Kind EventKind
	// Coord is the place in the log: the start of the transaction for Begin,
	// the end of it (with its GTID) for Commit, Rollback and DDL, the place
	// reached for Heartbeat and Reset. Seq is left to the assembler.
	Coord    Coord
	GTID     GTID // of the transaction, on Begin; zero where GTID is off
	ServerID uint32
	Thread   uint32
	Time     time.Time // commit time, on Begin where known, else on Commit and DDL
	Micros   bool      // Time has microseconds
	Raw      RawRows   // on Rows; Rows, Ordinal and TableOrdinal are the assembler's
	DDL      *DDL      // on DDL
	// Received is when the event was read from the connection. The stream
	// leaves it alone; whoever drives the stream sets it, at least on the
	// events that end a transaction, since the assembler has no clock.
	Received time.Time
}
