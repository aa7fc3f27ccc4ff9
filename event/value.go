package event

// Kind says what a Value holds.
type Kind uint8

// The kinds of values. Absent is a column that is not in the row image (or is
// excluded); it is not NULL.
const (
	Absent    Kind = iota
	Null           // SQL NULL
	Int            // Num
	Uint           // uint64(Num)
	Float          // Num holds math.Float32bits
	Double         // Num holds math.Float64bits
	Decimal        // see Value.Bytes
	Text           // Bytes: UTF-8
	Bytes          // Bytes
	Bit            // uint64(Num); the width is the column's Length
	Year           // Num: 0 or 1901 to 2155
	Date           // Num: PackDateTime with no time of day; zero and partly zero dates occur
	Time           // Num: microseconds, negative too, up to 838:59:59.999999
	DateTime       // Num: PackDateTime; zero and partly zero dates occur
	Timestamp      // Num: microseconds since the epoch; 0 is the zero timestamp
	Enum           // Num: index into the column's Labels from 1; 0 is the error value
	Set            // uint64(Num): bit i stands for label i
	JSON           // Bytes: compact JSON text, numbers as MySQL's own text gives them
)

// Value is one column of one row: a small tagged struct, never an interface.
// Bytes point into the raw event or into the scratch memory of the RowReader
// and are valid only until the next row.
type Value struct {
	Kind  Kind
	Scale uint8 // Decimal in Num: digits after the point
	Num   int64
	// Bytes is text, binary data, JSON text, or, for a Decimal of more than 18
	// digits, its decimal text ("-12.30", always with the column's scale). A
	// Decimal of at most 18 digits has nil Bytes and is Num × 10^-Scale.
	Bytes []byte
}

// PackDateTime packs a calendar date and time of day so that parts which are
// no real date (month 0, day 0) survive. Order of packed values is order in time.
func PackDateTime(year, month, day, hour, minute, second, micro int) int64 {
	ym := int64(year*13 + month)
	return ((((ym<<5|int64(day))<<5|int64(hour))<<6|int64(minute))<<6|int64(second))<<20 | int64(micro)
}

// UnpackDateTime is the inverse of PackDateTime.
func UnpackDateTime(v int64) (year, month, day, hour, minute, second, micro int) {
	micro, v = int(v&(1<<20-1)), v>>20
	second, v = int(v&63), v>>6
	minute, v = int(v&63), v>>6
	hour, v = int(v&31), v>>5
	day, v = int(v&31), v>>5
	return int(v / 13), int(v % 13), day, hour, minute, second, micro
}
