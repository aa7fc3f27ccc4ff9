package eventtest

import (
	"math"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// Null is SQL NULL.
func Null() event.Value { return event.Value{Kind: event.Null} }

// Absent is a column that is not in the row image.
func Absent() event.Value { return event.Value{} }

// Int is a signed integer.
func Int(n int64) event.Value { return event.Value{Kind: event.Int, Num: n} }

// Uint is an unsigned integer.
func Uint(n uint64) event.Value { return event.Value{Kind: event.Uint, Num: int64(n)} }

// Float is a FLOAT.
func Float(f float32) event.Value {
	return event.Value{Kind: event.Float, Num: int64(math.Float32bits(f))}
}

// Double is a DOUBLE.
func Double(f float64) event.Value {
	return event.Value{Kind: event.Double, Num: int64(math.Float64bits(f))}
}

// Decimal is unscaled × 10^-scale, of at most 18 digits.
func Decimal(unscaled int64, scale int) event.Value {
	return event.Value{Kind: event.Decimal, Num: unscaled, Scale: uint8(scale)}
}

// BigDecimal is a decimal of more than 18 digits, as text with the column's scale.
func BigDecimal(text string) event.Value {
	return event.Value{Kind: event.Decimal, Bytes: []byte(text)}
}

// Text is a character string.
func Text(s string) event.Value { return event.Value{Kind: event.Text, Bytes: []byte(s)} }

// Bytes is a binary string.
func Bytes(s string) event.Value { return event.Value{Kind: event.Bytes, Bytes: []byte(s)} }

// JSON is a JSON document.
func JSON(s string) event.Value { return event.Value{Kind: event.JSON, Bytes: []byte(s)} }

// Bit is a BIT value.
func Bit(n uint64) event.Value { return event.Value{Kind: event.Bit, Num: int64(n)} }

// Year is a YEAR.
func Year(n int) event.Value { return event.Value{Kind: event.Year, Num: int64(n)} }

// Date is a DATE, which need not exist in the calendar.
func Date(year, month, day int) event.Value {
	return event.Value{Kind: event.Date, Num: event.PackDateTime(year, month, day, 0, 0, 0, 0)}
}

// DateTime is a DATETIME, which need not exist in the calendar.
func DateTime(year, month, day, hour, minute, second, micro int) event.Value {
	return event.Value{Kind: event.DateTime, Num: event.PackDateTime(year, month, day, hour, minute, second, micro)}
}

// Time is a TIME.
func Time(d time.Duration) event.Value {
	return event.Value{Kind: event.Time, Num: d.Microseconds()}
}

// Timestamp is a TIMESTAMP in microseconds since the epoch; 0 is the zero timestamp.
func Timestamp(micros int64) event.Value { return event.Value{Kind: event.Timestamp, Num: micros} }

// Enum is a label by its index from 1; 0 is the error value.
func Enum(index int) event.Value { return event.Value{Kind: event.Enum, Num: int64(index)} }

// Set is a set of labels, bit i for label i.
func Set(bits uint64) event.Value { return event.Value{Kind: event.Set, Num: int64(bits)} }
