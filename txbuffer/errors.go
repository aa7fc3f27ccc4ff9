package txbuffer

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// ErrClosed is what a ring returns that was closed without a reason.
var ErrClosed = errors.New("transaction buffer is closed")

const replayHint = "nothing is lost: the checkpoint has not moved past this transaction and the source sends it again"

// orderError says that an event cannot stand where it came.
func orderError(ev *event.Event, what string) error {
	return resilience.Errorf(resilience.Fatal, "event_order", "assemble transaction", "%s", what).
		WithPlace("%s", place(ev.Coord.File, ev.Coord.Offset)).
		WithHint("the log or its reading is broken here: compare with mysqlbinlog and report it; the checkpoint has not moved")
}

// countError gives an error of a layout its place and, where it has none, its class.
func countError(raw *event.RawRows, file *event.LogFile, err error) error {
	at := fmt.Sprintf("%s table %s.%s", place(file, raw.Pos), raw.Table.Database, raw.Table.Name)
	if resilience.ClassOf(err) != resilience.Unclassified {
		return fmt.Errorf("count rows at %s: %w", at, err)
	}
	return resilience.Errorf(resilience.Fatal, "rows_unreadable", "count rows", "%w", err).WithPlace("%s", at).
		WithHint("the rows do not fit the table definition known at this position")
}

// partialError says that a transaction which is done in part does not come
// again as it was.
func partialError(part event.Partial, tx *event.Tx) error {
	e := resilience.Errorf(resilience.Fatal, "partial_transaction_changed", "go on in a transaction",
		"%d rows of transaction %s are delivered, and %s with %d captured rows comes now", part.Rows, part.Tx, tx.Key, tx.Rows)
	if part.Tx == tx.Key {
		return e.WithHint("what is captured was changed while the transaction was delivered in parts: set tables.include and tables.exclude " +
			"of the source back until it is through, then change them")
	}
	return e.WithHint("the source's log is not the one that was read before; %s", resilience.StartOver)
}

func place(f *event.LogFile, offset uint64) string {
	if f == nil {
		return fmt.Sprintf("offset %d", offset)
	}
	return fmt.Sprintf("%s:%d", f.Name, offset)
}

// diskError classifies a failure of the spill directory.
func diskError(op, name string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return resilience.Errorf(resilience.Fatal, "spill_disk_full", op, "%w", err).WithPlace("%s", name).
			WithHint("free space under spill_dir or move it to a larger disk, then resume; %s", replayHint)
	}
	return resilience.Errorf(resilience.Fatal, "spill_io", op, "%w", err).WithPlace("%s", name).
		WithHint("check the disk and the permissions of spill_dir, then resume; %s", replayHint)
}

// corruptError says that a segment does not hold what was written to it.
func corruptError(name string, format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, "spill_corrupt", "read spilled transaction", format, args...).
		WithPlace("%s", name).
		WithHint("the disk under spill_dir does not keep what is written: replace it, then resume; %s", replayHint)
}

// quotaError says that the open transaction alone is larger than the disk may hold.
func quotaError(limit int64) error {
	return resilience.Errorf(resilience.Fatal, "spill_limit", "spill transaction", "the transaction is larger than max_spill_bytes (%d)", limit).
		WithHint("raise max_spill_bytes, then resume; %s", replayHint)
}
