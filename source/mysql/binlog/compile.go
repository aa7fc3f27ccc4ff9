package binlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

const opCompile = "compile table map"

var errNoNames = errors.New("the table map has no column names")

// TableOptions say how table maps are compiled.
type TableOptions struct {
	Flavor   event.Flavor // of the server that wrote the log
	Charsets Charsets     // may be nil
	// Excluded tells the columns that are not captured; nil captures all.
	Excluded func(database, table, column string) bool
}

// CompileTable compiles the body of a TABLE_MAP event to a table version with
// the layout of its rows. It is costly beside a row: compile once per
// TableMap.Definition.
//
// It fails with a Fatal error when the map has no column names
// (binlog_row_metadata is not FULL), or when a captured column is of a type or
// in a character set that this release cannot read. UUID, INET4, INET6 and
// VECTOR columns of MariaDB look like BINARY and VARBINARY in the log, with
// nothing to tell them apart; they are compiled as such. The hidden column of a
// UNIQUE key over long values, which MariaDB logs too, counts as excluded.
func CompileTable(body []byte, o TableOptions) (*event.Table, error) {
	m, err := parseTableMap(body, o.Flavor)
	if err != nil {
		return nil, err
	}
	if !m.named {
		return nil, &resilience.Error{
			Class: resilience.Fatal, Code: CodeMetadata, Op: opCompile, At: m.db + "." + m.name,
			Err: errNoNames, Hint: "SET GLOBAL binlog_row_metadata = FULL; rows written before cannot be read: " + resilience.StartOver,
		}
	}
	t := &event.Table{Database: m.db, Name: m.name, Columns: make([]event.Column, len(m.columns)), Key: m.key}
	l := &layout{table: t, steps: make([]step, len(m.columns))}
	for i := range m.columns {
		c := compiler{table: m, from: &m.columns[i], to: &t.Columns[i], step: &l.steps[i], charsets: o.Charsets}
		c.to.Excluded = o.Excluded != nil && o.Excluded(m.db, m.name, c.from.name) || o.Flavor == event.MariaDB && isHidden(c.from)
		if err := c.column(); err != nil {
			return nil, err
		}
	}
	t.Layout = l
	return t, nil
}

// compiler compiles one column.
type compiler struct {
	table    *tableMap
	from     *mapColumn
	to       *event.Column
	step     *step
	charsets Charsets
}

func (c *compiler) column() error {
	c.to.Name, c.to.Nullable, c.to.Invisible = c.from.name, c.from.nullable, c.from.invisible
	c.to.Unsigned = c.from.unsigned
	if !c.size() {
		return c.unsupportedType("its length in the log is not known, so no row of the table can be read: " +
			"rebuild it (ALTER TABLE ... FORCE, on MariaDB with mysql56_temporal_format=ON) or exclude the table")
	}
	if !c.types() && !c.to.Excluded {
		return c.unsupportedType("")
	}
	if c.to.Excluded {
		c.step.op = opSkip
		return nil
	}
	return c.text()
}

// isHidden recognises the column that MariaDB adds for the hash of a UNIQUE key
// over long values. No SELECT shows it.
func isHidden(c *mapColumn) bool {
	return c.typ == colLongLong && strings.HasPrefix(c.name, "DB_ROW_HASH_")
}

// size sets how a value of the column is walked over.
func (c *compiler) size() bool {
	meta := c.from.meta
	switch c.from.typ {
	case colTiny, colYear:
		c.step.fixed = 1
	case colShort:
		c.step.fixed = 2
	case colInt24, colDate:
		c.step.fixed = 3
	case colLong, colFloat:
		c.step.fixed = 4
	case colLongLong, colDouble:
		c.step.fixed = 8
	case colBit:
		c.step.fixed = uint8((c.from.length + 7) / 8)
		return c.from.length >= 1 && c.from.length <= 64
	case colTime2, colDateTime2, colTimestamp2:
		c.step.fixed = temporalBase[c.from.typ] + uint8(meta+1)/2
		return meta <= 6
	case colDecimal:
		return c.decimal()
	case colEnum, colSet:
		c.step.fixed = uint8(meta)
		return meta >= 1 && meta <= 8 && (c.from.typ == colSet || meta <= 2)
	case colString, colVarchar, colVarString, colVarcharCompressed:
		c.step.prefix = 1
		if meta > 255 {
			c.step.prefix = 2
		}
	case colBlob, colGeometry, colVector, colJSON, colBlobCompressed:
		c.step.prefix = uint8(meta)
		return meta >= 1 && meta <= 4
	default:
		return false
	}
	return true
}

var temporalBase = map[byte]uint8{colTime2: 3, colDateTime2: 5, colTimestamp2: 4}

func (c *compiler) decimal() bool {
	precision, scale := int(c.from.meta>>8), int(c.from.meta&0xff)
	if precision < 1 || precision > 65 || scale > 30 || scale > precision {
		return false
	}
	c.to.Precision, c.to.Scale = precision, scale
	c.step.decimal = newDecimalShape(precision, scale)
	c.step.fixed = c.step.decimal.size
	return true
}

// types sets what a value of the column becomes.
func (c *compiler) types() bool {
	switch c.from.typ {
	case colTiny:
		c.integer(event.TypeTinyInt, opInt8)
	case colShort:
		c.integer(event.TypeSmallInt, opInt16)
	case colInt24:
		c.integer(event.TypeMediumInt, opInt24)
	case colLong:
		c.integer(event.TypeInt, opInt32)
	case colLongLong:
		c.integer(event.TypeBigInt, opInt64)
	case colFloat:
		c.set(event.TypeFloat, opFloat)
	case colDouble:
		c.set(event.TypeDouble, opDouble)
	case colDecimal:
		c.set(event.TypeDecimal, opDecimal)
		if c.to.Precision > maxDigitsInNum {
			c.step.op = opDecimalText
		}
	case colBit:
		c.set(event.TypeBit, opBit)
		c.to.Length = c.from.length
	case colYear:
		c.set(event.TypeYear, opYear)
	case colDate:
		c.set(event.TypeDate, opDate)
	case colTime2:
		c.temporal(event.TypeTime, opTime)
	case colDateTime2:
		c.temporal(event.TypeDateTime, opDateTime)
	case colTimestamp2:
		c.temporal(event.TypeTimestamp, opTimestamp)
	case colEnum:
		c.set(event.TypeEnum, opEnum)
	case colSet:
		c.set(event.TypeSet, opSet)
	case colJSON:
		c.set(event.TypeJSON, opJSON)
	case colString:
		c.set(event.TypeChar, opText)
		c.to.Length = c.from.length
	case colVarchar, colVarString:
		c.set(event.TypeText, opText)
		c.to.Length = c.from.length
	case colBlob:
		c.set(event.TypeText, opText)
	default:
		return false
	}
	return true
}

func (c *compiler) set(t event.Type, op opcode) { c.to.Type, c.step.op = t, op }

// integer picks the signed operation, or the unsigned one that follows it.
func (c *compiler) integer(t event.Type, op opcode) {
	if c.from.unsigned {
		op++
	}
	c.set(t, op)
}

func (c *compiler) temporal(t event.Type, op opcode) {
	c.set(t, op)
	c.to.Scale = int(c.from.meta)
}

// text settles the character set of columns that have one.
func (c *compiler) text() error {
	if !c.isText() {
		return nil
	}
	charset := c.charsets.name(c.from.collation)
	if !supportedCharset(charset) {
		return c.unsupportedCharset("character set %s", charset)
	}
	if c.to.Type == event.TypeEnum || c.to.Type == event.TypeSet {
		return c.labels(charset)
	}
	switch charset {
	case charsetBinary:
		c.binary()
		return nil
	case charsetASCII:
		c.step.op = opASCII
	case charsetLatin1:
		c.step.op = opLatin1
	}
	c.to.Charset = charset
	return nil
}

func (c *compiler) isText() bool {
	switch c.to.Type {
	case event.TypeChar, event.TypeText, event.TypeEnum, event.TypeSet:
		return true
	}
	return false
}

func (c *compiler) binary() {
	if c.to.Type == event.TypeChar {
		c.set(event.TypeBinary, opBinary)
		c.step.width = c.from.length
		return
	}
	c.set(event.TypeBytes, opBytes)
}

func (c *compiler) labels(charset string) error {
	c.to.Charset = charset
	c.to.Labels = slices.Clone(c.from.labels)
	c.step.width = len(c.to.Labels)
	if c.step.width == 0 || c.to.Type == event.TypeSet && c.step.width > 64 {
		return c.table.malformed("column %s has %d labels", c.to.Name, c.step.width)
	}
	for i, label := range c.to.Labels {
		text, ok := labelText(charset, label)
		if !ok {
			return c.unsupportedCharset("label %d is no text in %s", i+1, charset)
		}
		c.to.Labels[i] = text
	}
	return nil
}

func (c *compiler) unsupportedCharset(format string, args ...any) error {
	e := columnError(resilience.Fatal, CodeCharset, opCompile, c.table.db, c.table.name, c.from.name, format, args...)
	return e.WithHint(hintExclude, c.place())
}

func (c *compiler) unsupportedType(hint string) error {
	name, ok := columnTypeNames[c.from.typ]
	if !ok {
		name = fmt.Sprintf("code %d", c.from.typ)
	}
	e := columnError(resilience.Fatal, CodeColumnType, opCompile, c.table.db, c.table.name, c.from.name, "column type %s", name)
	if hint != "" {
		return e.WithHint("%s", hint)
	}
	return e.WithHint(hintExclude, c.place())
}

func (c *compiler) place() string { return c.table.db + "." + c.table.name + "." + c.from.name }
