package mysql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

// cursor is a place in the order of a table's key. As text it is JSON, so that
// a person can read how far a table is.
type cursor struct {
	Key []string `json:"key"` // names of the columns
	At  []string `json:"at"`  // their values, each behind a letter for its kind
	// Order is what the order of each column depends on, as definition.order has
	// it: in another one, other rows lie behind the same values.
	Order []string `json:"order,omitempty"`
}

// The letters of kinds.
const (
	atInt      = 'i' // a decimal number, of any integer type; of BIT, YEAR, ENUM and SET too
	atDecimal  = 'n' // a decimal number with its point
	atFloat    = 'f' // the shortest number that gives the value back
	atText     = 't' // the stored bytes in the column's character set, in hex
	atBytes    = 'x' // in hex
	atDate     = 'd' // 2006-01-02
	atTime     = 'c' // [-]15:04:05.000000
	atDateTime = 's' // 2006-01-02 15:04:05.000000, of a TIMESTAMP in UTC
)

// parseCursor reads the text of a cursor and checks all of it: values stand in
// statements afterwards.
func parseCursor(text []byte) (cursor, error) {
	var c cursor
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil && d.More() {
		err = fmt.Errorf("more than one value")
	}
	if err == nil && (len(c.Key) == 0 || len(c.Key) != len(c.At)) {
		err = fmt.Errorf("%d key columns and %d values", len(c.Key), len(c.At))
	}
	for i := 0; err == nil && i < len(c.At); i++ {
		if !validAt(c.At[i]) {
			err = fmt.Errorf("%.100q is no value", c.At[i])
		}
	}
	if err != nil {
		return cursor{}, cursorError("the place %.200q cannot be read: %w", text, err)
	}
	return c, nil
}

func cursorError(format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, source.CodePlace, opReadChunk, format, args...).
		WithHint("the snapshot of the table begins anew")
}

var atForms = map[byte]*regexp.Regexp{
	atInt:      regexp.MustCompile(`^-?[0-9]{1,20}$`),
	atDecimal:  regexp.MustCompile(`^-?[0-9]{1,65}(\.[0-9]{1,30})?$`),
	atFloat:    regexp.MustCompile(`^-?[0-9](\.[0-9]{1,20})?e[+-][0-9]{1,3}$`),
	atText:     regexp.MustCompile(`^([0-9a-f]{2})*$`),
	atBytes:    regexp.MustCompile(`^([0-9a-f]{2})*$`),
	atDate:     regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`),
	atTime:     regexp.MustCompile(`^-?[0-9]{2,3}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$`),
	atDateTime: regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$`),
}

func validAt(at string) bool {
	if at == "" {
		return false
	}
	form := atForms[at[0]]
	return form != nil && form.MatchString(at[1:])
}

// text is the cursor as it is stored.
func (c cursor) text() []byte {
	b, _ := json.Marshal(c) // strings only
	return b
}

// order is what the order of an index depends on, column by column: type,
// collation and direction. A changed type counts whatever it is, since values
// were converted.
func (d *definition) order(x *tableIndex) []string {
	list := make([]string, len(x.columns))
	for i, c := range x.columns {
		list[i] = d.orders[d.column(c.name)]
		if c.descending {
			list[i] += " desc"
		}
	}
	return list
}

// orderOf is what the order of a column's values depends on. The labels of an
// ENUM, which may be many, have a short form.
func orderOf(c *toldColumn) string {
	kind := c.columnType
	if c.dataType == "enum" {
		h := fnv.New64a()
		_, _ = h.Write([]byte(kind)) // never fails
		kind = fmt.Sprintf("enum#%016x", h.Sum64())
	}
	if c.collation != "" {
		kind += " " + c.collation
	}
	return kind
}

// cursorAt reads the place of a row, without its order.
func (d *definition) cursorAt(row []byte, key []int) (cursor, error) {
	c := cursor{Key: make([]string, len(key)), At: make([]string, len(key))}
	var dec chunkDecoder
	w := d.layout.walk(row)
	for w.next() {
		for i, column := range key {
			if column != w.column {
				continue
			}
			at, ok := dec.at(&d.layout.steps[column], w.value)
			if !ok {
				return c, d.layout.fault(column, dec.badText)
			}
			c.Key[i], c.At[i] = d.table.Columns[column].Name, at
		}
	}
	if !w.done() {
		return c, d.layout.malformed("a row does not fit its columns")
	}
	return c, nil
}

// at is one value of a key as it stands in a cursor.
func (d *chunkDecoder) at(s *chunkStep, b []byte) (string, bool) {
	var v event.Value
	switch {
	case b == nil:
		return "", false
	case s.op == chunkText:
		return string(atText) + hex.EncodeToString(b), true
	case s.op == chunkDecimal || s.op == chunkDecimalText:
		text := plainDecimal(b)
		return string(atDecimal) + string(text), text != nil
	case !d.value(s, &v, b):
		return "", false
	}
	switch v.Kind {
	case event.Int:
		return string(atInt) + strconv.FormatInt(v.Num, 10), true
	case event.Uint, event.Bit, event.Year, event.Enum, event.Set:
		return string(atInt) + strconv.FormatUint(uint64(v.Num), 10), true
	case event.Float:
		return floatAt(float64(math.Float32frombits(uint32(v.Num)))), true
	case event.Double:
		return floatAt(math.Float64frombits(uint64(v.Num))), true
	case event.Bytes:
		return string(atBytes) + hex.EncodeToString(v.Bytes), true
	case event.Date:
		return string(atDate) + dateTimeText(v.Num)[:10], true
	case event.DateTime:
		return string(atDateTime) + dateTimeText(v.Num), true
	case event.Timestamp:
		return string(atDateTime) + dateTimeText(chunkDateTimeValue(b)), true
	case event.Time:
		return string(atTime) + timeText(v.Num), true
	}
	return "", false
}

func floatAt(f float64) string { return string(atFloat) + strconv.FormatFloat(f, 'e', -1, 64) }

func dateTimeText(packed int64) string {
	year, month, day, hour, minute, second, micro := event.UnpackDateTime(packed)
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", year, month, day, hour, minute, second, micro)
}

func timeText(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	seconds := micros / 1_000_000
	return fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, seconds/3600, seconds/60%60, seconds%60, micros%1_000_000)
}

// literals are the values of a cursor as SQL that compares with the key's
// columns exactly as the stored values do.
func (d *definition) literals(c cursor, key []int) ([]string, error) {
	list := make([]string, len(key))
	for i, column := range key {
		col := &d.table.Columns[column]
		kind, value := c.At[i][0], c.At[i][1:]
		if !fits(col.Type, kind) {
			return nil, cursorError("the place %s does not fit column %s", c.text(), col.Name)
		}
		list[i] = literal(col, kind, value)
	}
	return list, nil
}

func fits(t event.Type, kind byte) bool {
	switch t {
	case event.TypeDecimal:
		return kind == atDecimal
	case event.TypeFloat, event.TypeDouble:
		return kind == atFloat
	case event.TypeDate:
		return kind == atDate
	case event.TypeTime:
		return kind == atTime
	case event.TypeDateTime, event.TypeTimestamp:
		return kind == atDateTime
	case event.TypeChar, event.TypeText:
		return kind == atText
	case event.TypeBinary, event.TypeBytes:
		return kind == atBytes
	}
	return kind == atInt
}

func literal(col *event.Column, kind byte, value string) string {
	switch kind {
	case atText:
		return "_" + col.Charset + " x'" + value + "'"
	case atBytes:
		return "x'" + value + "'"
	case atDate:
		return "DATE'" + value + "'"
	case atTime:
		return "TIME'" + value + "'"
	case atDateTime:
		return "TIMESTAMP'" + value + "'"
	}
	return value
}
