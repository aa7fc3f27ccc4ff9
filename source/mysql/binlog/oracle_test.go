package binlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/cdcd-io/cdcd/event"
)

// oracle decodes the same events with go-mysql.
type oracle struct{ parser *replication.BinlogParser }

func newOracle(t testing.TB, f *Format, format []byte) *oracle {
	t.Helper()
	p := replication.NewBinlogParser()
	p.SetVerifyChecksum(true)
	p.SetFlavor(flavorOf(f).String())
	p.SetRenderJSONAsMySQLText(true)
	p.SetTimestampStringLocation(time.UTC)
	format = bytes.Clone(format)
	format[17] &^= FlagInUse // the server sets it after it has computed the checksum
	if _, err := p.Parse(format); err != nil {
		t.Fatal(err)
	}
	return &oracle{parser: p}
}

func (o *oracle) parse(t testing.TB, raw []byte) [][]any {
	t.Helper()
	e, err := o.parser.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if rows, ok := e.Event.(*replication.RowsEvent); ok {
		return rows.Rows
	}
	return nil
}

// compare compares the images of c with theirs from image n on and returns the
// number of the next image.
func (o *oracle) compare(t testing.TB, c *event.RowChange, theirs [][]any, n int) int {
	t.Helper()
	for _, image := range [][]event.Value{c.Before, c.After} {
		if image == nil {
			continue
		}
		for i, v := range image {
			want := theirs[n][i]
			if got := oracleValue(c.Table.Columns[i], v, want); !reflect.DeepEqual(got, want) && !knownDefect(c.Table.Columns[i], v, got, want) {
				t.Errorf("%s.%s: %T %.100v, go-mysql has %T %.100v", c.Table.Name, c.Table.Columns[i].Name, got, got, want, want)
			}
		}
		n++
	}
	return n
}

// knownDefect tells where go-mysql is wrong or less exact.
func knownDefect(c event.Column, v event.Value, got, want any) bool {
	switch {
	case fmt.Sprint(got) == "NaN" && fmt.Sprint(want) == "NaN": // which is not equal to itself
		return true
	case v.Kind == event.JSON: // doubles, decimals and zero times in other forms: SELECT decides
		return true
	case v.Kind == event.Decimal: // drops a zero fraction of negative zero, keeps its sign
		return strings.Trim(fmt.Sprint(want), "-0.") == "" && strings.Trim(fmt.Sprint(got), "-0.") == ""
	case v.Kind == event.Time || v.Kind == event.DateTime: // leaves a zero fraction out
		return strings.TrimRight(fmt.Sprint(got), "0.") == strings.TrimRight(fmt.Sprint(want), "0.")
	}
	return false
}

// oracleValue is v as go-mysql would hold it.
func oracleValue(c event.Column, v event.Value, want any) any {
	switch v.Kind {
	case event.Null, event.Absent:
		return nil
	case event.Int, event.Uint:
		return reflect.ValueOf(v.Num).Convert(reflect.TypeOf(want)).Interface()
	case event.Float:
		return math.Float32frombits(uint32(v.Num))
	case event.Double:
		return math.Float64frombits(uint64(v.Num))
	case event.Bit, event.Enum, event.Set:
		return v.Num
	case event.Year:
		return int(v.Num)
	case event.Decimal:
		return decimalString(v)
	case event.Date, event.Time, event.DateTime, event.Timestamp:
		return temporalText(c, v)
	case event.JSON:
		return json.RawMessage(v.Bytes)
	}
	return oracleText(c, v, want)
}

// oracleText undoes what go-mysql does not do: character sets and padding.
func oracleText(c event.Column, v event.Value, want any) any {
	s := string(v.Bytes)
	if c.Type == event.TypeBinary {
		s = s[:min(len(s), len(fmt.Sprint(want)))]
	}
	if b, ok := want.([]byte); ok {
		if c.Charset == charsetLatin1 && string(appendLatin1(nil, b)) == s {
			return want
		}
		return []byte(s)
	}
	if w, ok := want.(string); ok && c.Charset == charsetLatin1 && string(appendLatin1(nil, []byte(w))) == s {
		return want
	}
	return s
}
