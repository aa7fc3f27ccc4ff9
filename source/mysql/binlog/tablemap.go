package binlog

import "github.com/cdcd-io/cdcd/event"

// TableMap is the head of a table map event: which table the rows events that
// name its id belong to. Its bytes belong to the event.
type TableMap struct {
	ID             uint64
	Database, Name []byte
	// Definition is all of the body that describes the table. Two table maps
	// with equal definitions compile to the same table version.
	Definition []byte
}

// ParseTableMap reads the head of the body of a TABLE_MAP event.
func ParseTableMap(body []byte) (TableMap, error) {
	c := cursor{b: body}
	m := TableMap{ID: c.uint(6)}
	c.u16()
	m.Definition = c.b
	m.Database = c.short()
	c.u8()
	m.Name = c.short()
	c.u8()
	if c.bad {
		return TableMap{}, malformed("read table map event", "truncated after %d bytes", len(body))
	}
	return m, nil
}

// The column types of the server as they are written in a table map.
const (
	colTiny              = 1
	colShort             = 2
	colLong              = 3
	colFloat             = 4
	colDouble            = 5
	colTimestamp         = 7
	colLongLong          = 8
	colInt24             = 9
	colDate              = 10
	colTime              = 11
	colDateTime          = 12
	colYear              = 13
	colVarchar           = 15
	colBit               = 16
	colTimestamp2        = 17
	colDateTime2         = 18
	colTime2             = 19
	colTypedArray        = 20
	colBlobCompressed    = 140
	colVarcharCompressed = 141
	colVector            = 242
	colJSON              = 245
	colDecimal           = 246
	colEnum              = 247
	colSet               = 248
	colBlob              = 252
	colVarString         = 253
	colString            = 254
	colGeometry          = 255
)

var columnTypeNames = map[byte]string{
	colTimestamp: "TIMESTAMP (old format)", colTime: "TIME (old format)", colDateTime: "DATETIME (old format)",
	colTypedArray: "array", colBlobCompressed: "BLOB COMPRESSED", colVarcharCompressed: "VARCHAR COMPRESSED",
	colVector: "VECTOR", colGeometry: "GEOMETRY",
}

// mapColumn is what a table map says about one column.
type mapColumn struct {
	typ       byte // ENUM and SET already told apart from other strings
	meta      uint16
	length    int // declared bytes of strings, bits of BIT
	nullable  bool
	unsigned  bool
	invisible bool
	collation uint32
	name      string
	labels    []string
}

// tableMap is a table map with all its metadata.
type tableMap struct {
	db, name string
	columns  []mapColumn
	key      []int
	named    bool // column names were there
	// character tells the columns that the lists of collations count, which
	// is not the same on both servers.
	character func(*mapColumn) bool
}

// The kinds of optional metadata.
const (
	metaSignedness     = 1
	metaDefaultCharset = 2
	metaColumnCharset  = 3
	metaColumnName     = 4
	metaSetValues      = 5
	metaEnumValues     = 6
	metaSimpleKey      = 8
	metaPrefixKey      = 9
	metaLabelDefault   = 10
	metaLabelCharset   = 11
	metaVisibility     = 12
)

func parseTableMap(body []byte, flavor event.Flavor) (*tableMap, error) {
	head, err := ParseTableMap(body)
	if err != nil {
		return nil, err
	}
	m := &tableMap{db: string(head.Database), name: string(head.Name), character: isCharacter}
	if flavor == event.MariaDB {
		m.character = isCharacterMariaDB
	}
	c := cursor{b: head.Definition[len(head.Database)+len(head.Name)+4:]}
	n := c.lenenc()
	types := c.take(n)
	meta := cursor{b: c.take(c.lenenc())}
	nulls := c.take((n + 7) / 8)
	if c.bad || n == 0 || n > maxColumns {
		return nil, m.malformed("%d columns in %d bytes", n, len(body))
	}
	m.columns = make([]mapColumn, n)
	for i := range m.columns {
		m.columns[i].nullable = nulls[i/8]>>(i%8)&1 != 0
		m.columns[i].readType(types[i], &meta)
	}
	if meta.bad || len(meta.b) != 0 {
		return nil, m.malformed("type metadata does not fit the column types")
	}
	if !m.optional(&c) {
		return nil, m.malformed("optional metadata does not fit the columns")
	}
	return m, nil
}

func (m *tableMap) malformed(format string, args ...any) error {
	return malformed("read table map of "+m.db+"."+m.name, format, args...)
}

// readType reads the fixed metadata of one column.
func (col *mapColumn) readType(typ byte, c *cursor) {
	col.typ = typ
	switch typ {
	case colString:
		real, low := c.u8(), c.u8()
		col.readString(real, low)
	case colDecimal:
		col.meta = uint16(c.u8()) << 8
		col.meta |= uint16(c.u8())
	case colVarchar, colVarString, colVarcharCompressed:
		col.meta = c.u16()
		col.length = int(col.meta)
	case colBit:
		bits, bytes := c.u8(), c.u8()
		col.length = int(bytes)*8 + int(bits)
	case colBlob, colDouble, colFloat, colGeometry, colVector, colJSON, colBlobCompressed, colTime2, colDateTime2, colTimestamp2:
		col.meta = uint16(c.u8())
	}
}

// readString reads the metadata that fixed-length strings, ENUM and SET share.
// Lengths over 255 hide their two high bits, inverted, in the real type.
func (col *mapColumn) readString(real, low byte) {
	if real == colEnum || real == colSet {
		col.typ, col.meta = real, uint16(low)
		return
	}
	col.length = int(low) | int(real&0x30^0x30)<<4
	col.meta = uint16(col.length)
}

// optional reads the optional metadata: kind, length, content, each kind once.
func (m *tableMap) optional(c *cursor) bool {
	var seen [256]bool
	for len(c.b) > 0 {
		kind := c.u8()
		v := cursor{b: c.take(c.lenenc())}
		if c.bad || seen[kind] {
			return false
		}
		seen[kind] = true
		m.optionalField(kind, &v)
		if v.bad {
			return false
		}
	}
	return true
}

func (m *tableMap) optionalField(kind byte, v *cursor) {
	switch kind {
	case metaSignedness:
		spreadBits(v, m.some(isNumeric), func(c *mapColumn, set bool) { c.unsigned = set })
	case metaDefaultCharset:
		defaultCharset(v, m.some(m.character))
	case metaColumnCharset:
		columnCharset(v, m.some(m.character))
	case metaColumnName:
		m.names(v)
	case metaSetValues:
		labels(v, m.some(func(c *mapColumn) bool { return c.typ == colSet }))
	case metaEnumValues:
		labels(v, m.some(func(c *mapColumn) bool { return c.typ == colEnum }))
	case metaSimpleKey, metaPrefixKey:
		m.primaryKey(v, kind == metaPrefixKey)
	case metaLabelDefault:
		defaultCharset(v, m.some(isLabelled))
	case metaLabelCharset:
		columnCharset(v, m.some(isLabelled))
	case metaVisibility:
		spreadBits(v, m.some(nil), func(c *mapColumn, set bool) { c.invisible = !set })
	}
}

// some returns the columns that want holds for, all of them for nil.
func (m *tableMap) some(want func(*mapColumn) bool) []*mapColumn {
	list := make([]*mapColumn, 0, len(m.columns))
	for i := range m.columns {
		if want == nil || want(&m.columns[i]) {
			list = append(list, &m.columns[i])
		}
	}
	return list
}

func isNumeric(c *mapColumn) bool {
	switch c.typ {
	case colTiny, colShort, colInt24, colLong, colLongLong, colDecimal, colFloat, colDouble, colYear:
		return true
	}
	return false
}

func isCharacter(c *mapColumn) bool {
	switch c.typ {
	case colString, colVarString, colVarchar, colBlob, colVector:
		return true
	}
	return false
}

func isCharacterMariaDB(c *mapColumn) bool {
	switch c.typ {
	case colGeometry, colBlobCompressed, colVarcharCompressed:
		return true
	}
	return isCharacter(c)
}

func isLabelled(c *mapColumn) bool { return c.typ == colEnum || c.typ == colSet }

// spreadBits gives each column its bit, the highest bit of a byte first.
func spreadBits(v *cursor, columns []*mapColumn, set func(*mapColumn, bool)) {
	b := v.take(uint64(len(columns)+7) / 8)
	if v.bad {
		return
	}
	for i, col := range columns {
		set(col, b[i/8]>>(7-i%8)&1 != 0)
	}
}

// defaultCharset reads one collation for all columns, then the exceptions as
// pairs of index and collation.
func defaultCharset(v *cursor, columns []*mapColumn) {
	id := uint32(v.lenenc())
	for _, col := range columns {
		col.collation = id
	}
	for len(v.b) > 0 {
		i, id := v.lenenc(), v.lenenc()
		if v.bad || i >= uint64(len(columns)) {
			v.bad = true
			return
		}
		columns[i].collation = uint32(id)
	}
}

func columnCharset(v *cursor, columns []*mapColumn) {
	for _, col := range columns {
		col.collation = uint32(v.lenenc())
	}
}

func (m *tableMap) names(v *cursor) {
	for i := range m.columns {
		m.columns[i].name = string(v.take(v.lenenc()))
	}
	m.named = !v.bad
}

func labels(v *cursor, columns []*mapColumn) {
	for _, col := range columns {
		n := v.lenenc()
		if n > uint64(len(v.b)) {
			v.bad = true
			return
		}
		col.labels = make([]string, n)
		for i := range col.labels {
			col.labels[i] = string(v.take(v.lenenc()))
		}
	}
}

func (m *tableMap) primaryKey(v *cursor, prefixes bool) {
	for len(v.b) > 0 && !v.bad {
		i := v.lenenc()
		if prefixes {
			v.lenenc()
		}
		if i >= uint64(len(m.columns)) || len(m.key) == len(m.columns) {
			v.bad = true
			return
		}
		m.key = append(m.key, int(i))
	}
}
