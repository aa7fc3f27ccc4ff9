package eventtest

import (
	"encoding/binary"
	"errors"

	"github.com/cdcd-io/cdcd/event"
)

// Layout reads bodies written by [Body]. Like a real layout it is immutable,
// and decoded bytes point into the body.
type Layout struct{ Columns int }

var errBody = errors.New("eventtest: body does not fit the table")

// Body renders the rows, which must all have the same op, as an event body.
func Body(rows ...Row) []byte {
	var b []byte
	for _, r := range rows {
		for _, image := range [][]event.Value{r.Before, r.After} {
			for _, v := range image {
				b = appendValue(b, v)
			}
		}
	}
	return b
}

// appendValue writes kind, scale, number, and the bytes behind their length
// plus one; 0 stands for nil.
func appendValue(b []byte, v event.Value) []byte {
	b = append(b, byte(v.Kind), v.Scale)
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Num))
	if v.Bytes == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(v.Bytes))+1)
	return append(b, v.Bytes...)
}

// Count walks the body; typ is the operation (see [Events]).
func (l Layout) Count(typ byte, body []byte) (uint32, error) {
	values := l.Columns
	if event.Op(typ) == event.Update {
		values *= 2
	}
	var rows uint32
	for len(body) > 0 && values > 0 {
		for range values {
			var err error
			if _, body, err = cutValue(body); err != nil {
				return 0, err
			}
		}
		rows++
	}
	return rows, nil
}

// Next decodes the row at off.
func (l Layout) Next(raw *event.RawRows, off int, r *event.RowReader) (int, error) {
	body := raw.Body[off:]
	r.Change.Before, r.Change.After = nil, nil
	var err error
	if raw.Op == event.Update || raw.Op == event.Delete {
		if body, err = fill(r.Before(l.Columns), body); err != nil {
			return 0, err
		}
	}
	if raw.Op != event.Delete {
		if body, err = fill(r.After(l.Columns), body); err != nil {
			return 0, err
		}
	}
	return len(raw.Body) - len(body), nil
}

func fill(image []event.Value, body []byte) (rest []byte, err error) {
	for i := range image {
		if image[i], body, err = cutValue(body); err != nil {
			return nil, err
		}
	}
	return body, nil
}

func cutValue(b []byte) (v event.Value, rest []byte, err error) {
	if len(b) < 11 {
		return v, nil, errBody
	}
	v = event.Value{Kind: event.Kind(b[0]), Scale: b[1], Num: int64(binary.LittleEndian.Uint64(b[2:]))}
	n, w := binary.Uvarint(b[10:])
	if w <= 0 {
		return v, nil, errBody
	}
	b = b[10+w:]
	if n == 0 {
		return v, b, nil
	}
	if n-1 > uint64(len(b)) {
		return v, nil, errBody
	}
	v.Bytes = b[: n-1 : n-1]
	return v, b[n-1:], nil
}
