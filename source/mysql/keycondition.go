package mysql

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// KeyCondition is an SQL condition that is met by the rows with the keys, and
// by no other row but those whose keys the columns' collations take for equal.
// A key has a value for each column of Table.Key; there must be one at least.
func KeyCondition(t *event.Table, keys [][]event.Value) (string, error) {
	terms := make([]string, len(keys))
	for i, key := range keys {
		list := make([]string, len(t.Key))
		for j, at := range t.Key {
			col := &t.Columns[at]
			value, err := valueLiteral(col, &key[j])
			if err != nil {
				return "", err
			}
			list[j] = quoteName(col.Name) + " = " + value
			if len(t.Key) == 1 {
				list[j] = value
			}
		}
		terms[i] = strings.Join(list, " AND ")
	}
	if len(t.Key) == 1 {
		return quoteName(t.Columns[t.Key[0]].Name) + " IN (" + strings.Join(terms, ", ") + ")", nil
	}
	return "(" + strings.Join(terms, ") OR (") + ")", nil
}

// valueLiteral is a value in SQL that compares with its column as the stored
// one does.
func valueLiteral(col *event.Column, v *event.Value) (string, error) {
	switch v.Kind {
	case event.Int:
		return strconv.FormatInt(v.Num, 10), nil
	case event.Uint, event.Bit, event.Year, event.Enum, event.Set:
		return strconv.FormatUint(uint64(v.Num), 10), nil
	case event.Float:
		return floatAt(float64(math.Float32frombits(uint32(v.Num))))[1:], nil
	case event.Double:
		return floatAt(math.Float64frombits(uint64(v.Num)))[1:], nil
	case event.Text:
		return textIn(col.Charset, v.Bytes), nil
	case event.Bytes:
		return "x'" + hex.EncodeToString(v.Bytes) + "'", nil
	case event.Date:
		return literal(col, atDate, dateTimeText(v.Num)[:10]), nil
	case event.DateTime:
		return literal(col, atDateTime, dateTimeText(v.Num)), nil
	case event.Timestamp:
		return literal(col, atDateTime, instantText(v.Num)), nil
	case event.Time:
		return literal(col, atTime, timeText(v.Num)), nil
	case event.Decimal:
		if text := decimalText(v); validAt(string(atDecimal) + text) {
			return text, nil
		}
	}
	return "", resilience.Errorf(resilience.Fatal, source.CodePlace, opReadChunk, "a value of kind %d cannot stand in a condition", v.Kind).
		WithPlace("column %s", col.Name).WithHint("report it with the table's definition")
}

// decimalText is a Decimal with its point.
func decimalText(v *event.Value) string {
	if v.Bytes != nil || v.Scale == 0 {
		return cmp.Or(string(v.Bytes), strconv.FormatInt(v.Num, 10))
	}
	sign, digits := "", strconv.FormatInt(v.Num, 10)
	if v.Num < 0 {
		sign, digits = "-", digits[1:]
	}
	digits = strings.Repeat("0", max(0, int(v.Scale)+1-len(digits))) + digits
	point := len(digits) - int(v.Scale)
	return sign + digits[:point] + "." + digits[point:]
}

// textIn is UTF-8 text in the character set of a column, so that the column is
// compared as it is and its index serves.
func textIn(charset string, text []byte) string {
	s := "_utf8mb4 x'" + hex.EncodeToString(text) + "'"
	if charset == "" || charset == "utf8mb4" {
		return s
	}
	return fmt.Sprintf("CONVERT(%s USING %s)", s, charset)
}

// instantText is an instant in UTC as a date and time; that of zero is the zero
// timestamp.
func instantText(micros int64) string {
	if micros == 0 {
		return dateTimeText(0)
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.000000")
}
