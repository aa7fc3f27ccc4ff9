package binlog

import (
	"fmt"

	"github.com/cdcd-io/cdcd/resilience"
)

// The codes of the errors this package builds.
const (
	CodeMalformed     = "malformed_event"         // the bytes are no such event
	CodeChecksum      = "checksum_mismatch"       // the CRC32 of an event is wrong
	CodeMetadata      = "row_metadata_not_full"   // a table map without column names
	CodeColumnType    = "unsupported_column_type" // a captured column of a type this release cannot read
	CodeCharset       = "unsupported_charset"     // a captured column in a character set this release cannot read
	CodePartialImage  = "partial_row_image"       // a row image that leaves columns out
	CodePartialJSON   = "partial_json"            // an update that carries differences of JSON documents
	CodeInvalidText   = "invalid_text"            // bytes that are no text in the column's character set
	CodeCompression   = "unsupported_compression" // a compression this release cannot read
	CodeEventTooLarge = "event_too_large"         // an event over the budget in bytes
	CodePayloadWindow = "payload_window"          // a compressed transaction needs more memory than allowed
	hintMalformed     = "the event was damaged in the log or on the way: check the file with mysqlbinlog --verify-binlog-checksum; if it is sound, report this"
	hintExclude       = "exclude the column (columns: {exclude: [%q]}) or the table"
	maxColumns        = 4096 // no server allows more
)

func malformed(op, format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, CodeMalformed, op, format, args...).WithHint(hintMalformed)
}

// columnError is an error about one column of a table.
func columnError(class resilience.Class, code, op, db, table, column, format string, args ...any) *resilience.Error {
	return &resilience.Error{
		Class: class, Code: code, Op: op, At: db + "." + table + "." + column,
		Err: fmt.Errorf(format, args...),
	}
}
