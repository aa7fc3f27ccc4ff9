package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// definition is a table as it is read in chunks.
type definition struct {
	table   *event.Table
	layout  *chunkLayout
	indexes []tableIndex
	// unordered are the columns that no chunk can be cut by; orders is what the
	// order of each depends on.
	unordered []bool
	orders    []string
	doubts    []doubt      // labels that are not proven
	fields    []chunkField // of the columns that are selected, in table order
	rowSize   int          // the server's estimate in bytes, 0 where it has none
	told      string       // what the server told, to see whether it is still the same
	shape     string       // columns and keys, as servers that replicate them have them in common
}

// chunkField is one selected column.
type chunkField struct {
	column int
	expr   string
	kind   wireKind
}

// toldColumn is one line of information_schema.COLUMNS.
type toldColumn struct {
	name, nullable, dataType, columnType, charset, extra, collation string
	octets, precision, scale, fraction                              int
}

const columnsQuery = `SELECT TABLE_NAME, COLUMN_NAME, IS_NULLABLE, LOWER(DATA_TYPE), COLUMN_TYPE, IFNULL(CHARACTER_SET_NAME, ''), EXTRA,
	IFNULL(CHARACTER_OCTET_LENGTH, 0), IFNULL(NUMERIC_PRECISION, 0), IFNULL(NUMERIC_SCALE, 0), IFNULL(DATETIME_PRECISION, 0), IFNULL(COLLATION_NAME, '')
	FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION`

const tableQuery = `SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(AVG_ROW_LENGTH, 0)
	FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s`

// lookUp asks the server for the definition of a table. A table whose
// definition is what known was made of keeps known's version.
func (q *session) lookUp(ctx context.Context, database, table string, known *definition) (*definition, error) {
	kind, err := q.told(ctx, tableQuery, database, table)
	if err != nil {
		return nil, err
	}
	columns, err := q.told(ctx, columnsQuery, database, table)
	if err != nil {
		return nil, err
	}
	if len(kind) == 0 || len(columns) == 0 {
		return nil, q.whyNotTold(ctx, database, table)
	}
	indexes, err := q.ask(ctx, "SHOW INDEX FROM "+fullName(database, table))
	if err != nil {
		return nil, q.tableError(err, database, table)
	}
	for _, x := range indexes {
		x[6] = "" // the cardinality, which is only an estimate
	}
	if q.flavor == event.MariaDB {
		columns = append(columns, hiddenColumns(columns, indexes, kind[0][1], kind[0][2])...)
	}
	told := fmt.Sprintf("%q %q", columns, indexes)
	if known != nil && known.told == told {
		return known, nil
	}
	d := &definition{told: told, rowSize: int(number(kind[0][3]))}
	if err := d.build(q, database, table, columns); err != nil {
		return nil, err
	}
	d.index(indexes)
	d.doubts = doubtsOf(d.table)
	if end := slices.IndexFunc(columns, func(c []string) bool { return c[6] == rowEnd }); end >= 0 && len(d.table.Key) > 0 {
		d.table.Key = append(d.table.Key, end) // which MariaDB adds to every unique key
	}
	d.shape = d.shapeOf(columns)
	return d, nil
}

// shapeOf is what must be the same where rows of one server stand for those of
// another: columns, the record's key, and the key that chunks are cut by, with
// its order.
func (d *definition) shapeOf(columns rows) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%s %s %s %s, ", c[1], c[4], c[2], c[11])
	}
	fmt.Fprintf(&b, "key %v", d.table.Key)
	if x := chunkIndex(d.indexes); x != nil {
		fmt.Fprintf(&b, ", chunks by %+v", x.columns)
	}
	return b.String()
}

// told asks for what information_schema has on a table. The server may compare
// names more loosely than it keeps them apart.
func (q *session) told(ctx context.Context, query, database, table string) (rows, error) {
	r, err := q.ask(ctx, fmt.Sprintf(query, textLiteral(database), textLiteral(table)))
	return slices.DeleteFunc(r, func(line []string) bool { return line[0] != table }), err
}

// whyNotTold finds out why the server tells nothing of a table: it is not
// there, or the account may not see it.
func (q *session) whyNotTold(ctx context.Context, database, table string) error {
	_, err := q.ask(ctx, "SELECT 1 FROM "+fullName(database, table)+" LIMIT 0")
	if err != nil {
		return q.tableError(err, database, table)
	}
	return noTable(database, table)
}

func noTable(database, table string) error {
	return resilience.Errorf(resilience.Fatal, source.CodeNoTable, opReadChunk, "there is no such table").
		WithPlace("%s.%s", database, table)
}

// index reads SHOW INDEX: unique indexes in the server's order.
func (d *definition) index(lines rows) {
	unusable := func(name string) bool {
		i := d.column(name)
		return i < 0 || d.table.Columns[i].Excluded || d.unordered[i]
	}
	for _, x := range lines {
		if x[1] != "0" {
			continue
		}
		d.indexes = appendPart(d.indexes, indexPart{
			index: x[2], column: x[4], order: x[5], prefix: x[7], nullable: x[9], kind: x[10],
			hidden: len(x) > 14 && x[13] == "NO" || len(x) == 14 && x[13] == "YES",
		}, unusable)
	}
	for _, x := range d.indexes {
		for i := range x.columns {
			if at := d.column(x.columns[i].name); at >= 0 && d.table.Columns[at].Type == event.TypeEnum {
				x.columns[i].labels = len(d.table.Columns[at].Labels)
			}
		}
	}
	d.table.Key = d.primaryKey()
}

// build makes the table version and its layout.
func (d *definition) build(q *session, database, table string, columns rows) error {
	t := &event.Table{Database: database, Name: table, Columns: make([]event.Column, len(columns))}
	d.table, d.layout = t, &chunkLayout{table: t, steps: make([]chunkStep, len(columns))}
	t.Layout = d.layout
	for i, line := range columns {
		c := chunkCompiler{
			told: toldColumnFrom(line), flavor: q.flavor, to: &t.Columns[i], step: &d.layout.steps[i],
			place: database + "." + table + "." + line[1],
		}
		c.to.Excluded = c.told.extra == hashColumn || q.source.filter.excluded(database, table, line[1])
		if err := c.column(); err != nil {
			return err
		}
		d.unordered = append(d.unordered, unorderedType(c.told.columnType))
		d.orders = append(d.orders, orderOf(&c.told))
		if !c.to.Excluded {
			d.fields = append(d.fields, chunkField{column: i, expr: c.expr(), kind: c.kind})
		}
	}
	return nil
}

func toldColumnFrom(line []string) toldColumn {
	return toldColumn{
		name: line[1], nullable: line[2], dataType: line[3], columnType: line[4], charset: line[5], extra: line[6],
		octets: int(number(line[7])), precision: int(number(line[8])), scale: int(number(line[9])), fraction: int(number(line[10])),
		collation: line[11],
	}
}

// primaryKey is the key as the log has it: without a primary key the server
// takes the first unique index whose columns are whole and not nullable.
func (d *definition) primaryKey() []int {
	for _, x := range d.indexes {
		if x.name == primaryIndex || !x.partial {
			return d.indexesOf(x.names())
		}
	}
	return nil
}

// column finds a column by name; -1 where there is none.
func (d *definition) column(name string) int {
	return slices.IndexFunc(d.table.Columns, func(c event.Column) bool { return strings.EqualFold(c.Name, name) })
}

// indexesOf finds columns by name.
func (d *definition) indexesOf(names []string) []int {
	list := make([]int, 0, len(names))
	for _, name := range names {
		list = append(list, d.column(name))
	}
	return list
}

// wireKind is how a value arrives in a result: the server's type of the column,
// with those that are told apart by the column alone taken together.
type wireKind byte

// chunkCompiler makes a column and its step from what the server told.
type chunkCompiler struct {
	told   toldColumn
	flavor event.Flavor
	to     *event.Column
	step   *chunkStep
	kind   wireKind
	place  string
}

func (c *chunkCompiler) column() error {
	c.to.Name = c.told.name
	c.to.Nullable = c.told.nullable == "YES"
	c.to.Invisible = c.flavor == event.MySQL && strings.Contains(c.told.extra, "INVISIBLE") // MariaDB does not log it
	c.to.Unsigned = strings.HasSuffix(c.told.columnType, " unsigned") || strings.HasSuffix(c.told.columnType, " zerofill")
	if !c.types() && !c.to.Excluded {
		return c.unsupported(binlog.CodeColumnType, "column type %s", c.told.columnType)
	}
	if c.to.Excluded {
		c.step.op = chunkSkip
		return nil
	}
	return c.text()
}

// The kinds of values in a result, by the server's numbers of column types.
const (
	wireTiny     wireKind = 1
	wireShort    wireKind = 2
	wireLong     wireKind = 3 // INT and MEDIUMINT
	wireFloat    wireKind = 4
	wireDouble   wireKind = 5
	wireLongLong wireKind = 8
	wireDate     wireKind = 10
	wireTime     wireKind = 11
	wireDateTime wireKind = 12 // TIMESTAMP too
	wireYear     wireKind = 13
	wireBit      wireKind = 16
	wireJSON     wireKind = 245
	wireDecimal  wireKind = 246
	wireString   wireKind = 254 // all texts and bytes
)

// types sets what a value of the column becomes.
func (c *chunkCompiler) types() bool {
	if strings.Contains(c.told.columnType, "COMPRESSED") {
		return false
	}
	switch c.told.dataType {
	case "tinyint":
		c.integer(event.TypeTinyInt, chunkInt8, wireTiny)
	case "smallint":
		c.integer(event.TypeSmallInt, chunkInt16, wireShort)
	case "mediumint":
		c.integer(event.TypeMediumInt, chunkInt32, wireLong)
	case "int":
		c.integer(event.TypeInt, chunkInt32, wireLong)
	case "bigint":
		c.integer(event.TypeBigInt, chunkInt64, wireLongLong)
	case "float":
		c.set(event.TypeFloat, chunkFloat, wireFloat)
	case "double":
		c.set(event.TypeDouble, chunkDouble, wireDouble)
	case "decimal":
		c.decimal()
	case "bit":
		c.set(event.TypeBit, chunkBit, wireBit)
		c.to.Length = c.told.precision
	case "year":
		c.set(event.TypeYear, chunkYear, wireYear)
		c.to.Unsigned = true
	case "date":
		c.set(event.TypeDate, chunkDate, wireDate)
	case "time":
		c.temporal(event.TypeTime, chunkTime, wireTime)
	case "datetime":
		c.temporal(event.TypeDateTime, chunkDateTime, wireDateTime)
	case "timestamp":
		c.temporal(event.TypeTimestamp, chunkTimestamp, wireDateTime)
	case "enum":
		c.set(event.TypeEnum, chunkEnum, wireLongLong)
	case "set":
		c.set(event.TypeSet, chunkSet, wireLongLong)
	case "json":
		c.set(event.TypeJSON, chunkJSON, wireJSON)
	default:
		return c.strings()
	}
	return true
}

// strings sets the columns that hold text or bytes.
func (c *chunkCompiler) strings() bool {
	switch c.told.dataType {
	case "char":
		c.set(event.TypeChar, chunkText, wireString)
		c.to.Length = c.told.octets
	case "varchar":
		c.set(event.TypeText, chunkText, wireString)
		c.to.Length = c.told.octets
	case "tinytext", "text", "mediumtext", "longtext":
		c.set(event.TypeText, chunkText, wireString)
	case "binary":
		c.set(event.TypeBinary, chunkBytes, wireString)
		c.to.Length = c.told.octets
	case "varbinary":
		c.set(event.TypeBytes, chunkBytes, wireString)
		c.to.Length = c.told.octets
	case "tinyblob", "blob", "mediumblob", "longblob":
		c.set(event.TypeBytes, chunkBytes, wireString)
	case "uuid", "inet6", "inet4":
		c.set(event.TypeBinary, chunkBytes, wireString)
		c.to.Length = mariaBinary[c.told.dataType]
	case "vector":
		c.set(event.TypeBytes, chunkBytes, wireString)
		c.to.Length = c.told.octets
		return c.flavor == event.MariaDB
	default:
		return false
	}
	return true
}

// mariaBinary are the types of MariaDB that are bytes in its log, and how many.
var mariaBinary = map[string]int{"uuid": 16, "inet6": 16, "inet4": 4}

func (c *chunkCompiler) set(t event.Type, op chunkOp, kind wireKind) {
	c.to.Type, c.step.op, c.kind = t, op, kind
}

func (c *chunkCompiler) integer(t event.Type, op chunkOp, kind wireKind) {
	if c.to.Unsigned {
		op++
	}
	c.set(t, op, kind)
}

func (c *chunkCompiler) temporal(t event.Type, op chunkOp, kind wireKind) {
	c.set(t, op, kind)
	c.to.Scale = c.told.fraction
}

// maxDigitsInNum is how many digits a decimal may have to travel as a number.
const maxDigitsInNum = 18

func (c *chunkCompiler) decimal() {
	c.set(event.TypeDecimal, chunkDecimal, wireDecimal)
	if c.told.precision > maxDigitsInNum {
		c.step.op = chunkDecimalText
	}
	c.to.Precision, c.to.Scale = c.told.precision, c.told.scale
	c.step.scale = uint8(c.told.scale)
}

// text settles the character set of columns that have one.
func (c *chunkCompiler) text() error {
	switch c.to.Type {
	case event.TypeChar, event.TypeText, event.TypeEnum, event.TypeSet:
	default:
		return nil
	}
	charset := c.told.charset
	if charset == "utf8" {
		charset = "utf8mb3" // its name before MySQL 8.0.30 and MariaDB 10.6
	}
	labelled := c.to.Type == event.TypeEnum || c.to.Type == event.TypeSet
	if labelled && charset == "" {
		charset = "binary" // which MySQL does not tell
	}
	decoder, ok := binlog.TextDecoderOf(charset)
	if !ok && !(labelled && charset == "binary") {
		return c.unsupported(binlog.CodeCharset, "character set %s", charset)
	}
	c.to.Charset, c.step.text = charset, decoder
	if labelled {
		if c.to.Labels = labelsOf(c.told.columnType); len(c.to.Labels) == 0 {
			return c.unsupported(binlog.CodeColumnType, "column type %s", c.told.columnType)
		}
		c.step.width = len(c.to.Labels)
	}
	return nil
}

// labelsOf reads the labels of a column type such as enum('a','it”s').
func labelsOf(columnType string) (labels []string) {
	_, list, _ := strings.Cut(columnType, "(")
	for len(list) > 0 && list[0] == '\'' {
		var label strings.Builder
		i := 1
		for ; i < len(list); i++ {
			c := list[i]
			if c == '\'' {
				if i++; i == len(list) || list[i] != '\'' {
					break
				}
			} else if c == '\\' && i+1 < len(list) {
				i++
				c = unescaped(list[i])
			}
			label.WriteByte(c)
		}
		labels = append(labels, label.String())
		list = strings.TrimPrefix(list[min(i, len(list)):], ",")
	}
	return labels
}

func unescaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	}
	return c
}

// expr is what a SELECT has to say to get the column's value in the form that
// the step expects.
func (c *chunkCompiler) expr() string {
	name := quoteName(c.told.name)
	switch {
	case c.to.Type == event.TypeEnum || c.to.Type == event.TypeSet:
		return "CAST(" + name + " AS UNSIGNED) | 0" // 64 bits, on MariaDB too
	case mariaBinary[c.told.dataType] > 0:
		return fmt.Sprintf("CAST(%s AS BINARY(%d))", name, c.to.Length)
	}
	return name
}

func (c *chunkCompiler) unsupported(code, format string, args ...any) error {
	return resilience.Errorf(resilience.Fatal, code, opReadChunk, format, args...).WithPlace("%s", c.place).
		WithHint("exclude the column (columns: {exclude: [%q]}) or the table", c.place)
}

// quoteName quotes an identifier.
func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// fullName is the quoted name of a table.
func fullName(database, table string) string { return quoteName(database) + "." + quoteName(table) }

// textLiteral is a text as a literal that no sql_mode reads otherwise.
func textLiteral(s string) string {
	if s == "" {
		return "''"
	}
	return fmt.Sprintf("_utf8mb4 x'%x'", s)
}
