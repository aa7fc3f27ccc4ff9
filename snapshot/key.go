package snapshot

import (
	"encoding/binary"
	"math"

	"github.com/cdcd-io/cdcd/event"
)

// keyPlan says where the columns of a key are in one table version, and how
// their values are brought into the canonical form.
type keyPlan []keyColumn

type keyColumn struct {
	index int
	pad   int // byte that padding adds at the end of the column's values, -1 for none
}

// planKey finds the columns by name. It fails where one is missing or is not
// captured.
func planKey(t *event.Table, names []string) (keyPlan, bool) {
	plan := make(keyPlan, 0, len(names))
	for _, name := range names {
		i := columnNamed(t, name)
		if i < 0 || t.Columns[i].Excluded {
			return nil, false
		}
		plan = append(plan, keyColumn{index: i, pad: padOf(t.Columns[i].Type)})
	}
	return plan, true
}

func columnNamed(t *event.Table, name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// padOf is what a server may add to or cut off values of the type without
// changing them: two values of one column that differ in this only are equal.
func padOf(t event.Type) int {
	switch t {
	case event.TypeChar:
		return ' '
	case event.TypeBinary:
		return 0
	}
	return -1
}

// append appends the canonical form of the image's key. It fails where a
// column is not in the image.
func (p keyPlan) append(dst []byte, image []event.Value) ([]byte, bool) {
	for _, c := range p {
		v := &image[c.index]
		if v.Kind == event.Absent {
			return dst, false
		}
		dst = appendKeyValue(dst, v, c.pad)
	}
	return dst, true
}

// Tags of the canonical form. Kinds in which the same stored value may come by
// one road and another share a tag.
const (
	tagNegative = 'n'
	tagNatural  = 'u'
	tagReal     = 'r'
	tagDecimal  = 'd'
	tagString   = 's'
	tagKind     = 0x80 // + Kind
)

// appendKeyValue appends a form of v that is the same for the same stored value,
// another for every value that a unique key tells apart from it, and never the
// beginning of the form of another: so the forms of a key's columns, one behind
// the other, tell keys apart.
func appendKeyValue(dst []byte, v *event.Value, pad int) []byte {
	switch v.Kind {
	case event.Int:
		if v.Num < 0 {
			return appendNumber(dst, tagNegative, v.Num)
		}
		return appendNumber(dst, tagNatural, v.Num)
	case event.Uint:
		return appendNumber(dst, tagNatural, v.Num)
	case event.Float:
		return appendReal(dst, float64(math.Float32frombits(uint32(v.Num))))
	case event.Double:
		return appendReal(dst, math.Float64frombits(uint64(v.Num)))
	case event.Decimal:
		return appendDecimal(dst, v)
	case event.Text, event.Bytes, event.JSON:
		return appendString(dst, unpadded(v.Bytes, pad))
	}
	return appendNumber(dst, tagKind|byte(v.Kind), v.Num)
}

func appendNumber(dst []byte, tag byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tag), uint64(n))
}

// appendReal makes one zero of the two, which are equal to a key.
func appendReal(dst []byte, f float64) []byte {
	if f == 0 {
		f = 0
	}
	return appendNumber(dst, tagReal, int64(math.Float64bits(f)))
}

func appendString(dst, b []byte) []byte {
	dst = binary.AppendUvarint(append(dst, tagString), uint64(len(b)))
	return append(dst, b...)
}

func unpadded(b []byte, pad int) []byte {
	for pad >= 0 && len(b) > 0 && b[len(b)-1] == byte(pad) {
		b = b[:len(b)-1]
	}
	return b
}
