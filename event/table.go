package event

// Table is one immutable version of a table definition. Rows point at the
// version they were written under; two versions of a table are two Tables.
// Pointers are comparable: the source hands out the same pointer while the
// definition stays the same, so caches may be keyed by it.
type Table struct {
	Database, Name string
	Columns        []Column
	Key            []int  // columns of the primary key in key order; empty where there is none
	Layout         Layout // how raw rows of this version are read
}

// Column is one column of a table version.
type Column struct {
	Name      string
	Type      Type
	Unsigned  bool
	Nullable  bool
	Invisible bool
	Excluded  bool // not captured: decoded as Absent and left out of every envelope
	// Length is the declared length: bytes for CHAR, VARCHAR, BINARY and
	// VARBINARY, bits for BIT; 0 elsewhere.
	Length int
	// Precision and Scale are those of DECIMAL; Scale is also the number of
	// fraction digits (0 to 6) of TIME, DATETIME and TIMESTAMP.
	Precision, Scale int
	Charset          string   // MySQL's name of the character set of text, ENUM and SET; "" elsewhere
	Labels           []string // labels of ENUM and SET in definition order, in UTF-8
}

// Type is the type of a column as its values behave, which is coarser than SQL.
type Type uint8

// The column types. Text covers CHAR, VARCHAR and the TEXT family; Bytes
// covers BINARY, VARBINARY and the BLOB family.
const (
	TypeUnknown Type = iota
	TypeTinyInt
	TypeSmallInt
	TypeMediumInt
	TypeInt
	TypeBigInt
	TypeDecimal
	TypeFloat
	TypeDouble
	TypeBit
	TypeYear
	TypeDate
	TypeTime
	TypeDateTime
	TypeTimestamp
	TypeChar
	TypeText
	TypeBinary
	TypeBytes
	TypeEnum
	TypeSet
	TypeJSON
)
