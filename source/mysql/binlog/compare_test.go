package binlog

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/cdcd-io/cdcd/event"
)

// cell is column 0 of row r as the server's text protocol shows it.
func cell(t testing.TB, r *mysql.Result, row int) *string {
	t.Helper()
	null, err := r.IsNull(row, 0)
	if err != nil {
		t.Fatal(err)
	}
	if null {
		return nil
	}
	s, err := r.GetString(row, 0)
	if err != nil {
		t.Fatal(err)
	}
	hex := fmt.Sprintf("%x", s) // JSON holds no arbitrary bytes
	return &hex
}

// differs compares a value with what SELECT showed of it, in hex. It returns "" when equal.
func differs(c event.Column, v event.Value, hex *string) string {
	if hex == nil || v.Kind == event.Null {
		if hex != nil || v.Kind != event.Null {
			return fmt.Sprintf("kind %d, SELECT shows %v", v.Kind, hex)
		}
		return ""
	}
	raw := make([]byte, len(*hex)/2)
	if _, err := fmt.Sscanf(*hex, "%x", &raw); err != nil && len(raw) > 0 {
		return err.Error()
	}
	shown, got := string(raw), selectText(c, v)
	switch v.Kind {
	case event.Float, event.Double:
		f, err := strconv.ParseFloat(shown, 64)
		if err != nil || strconv.FormatFloat(f, 'g', -1, 64) != got {
			return fmt.Sprintf("%s, SELECT shows %s", got, shown)
		}
		return ""
	case event.JSON:
		shown = compactJSON(shown)
	}
	if got != shown {
		return fmt.Sprintf("%.200q, SELECT shows %.200q", got, shown)
	}
	return ""
}

// selectText renders v as the server shows it.
func selectText(c event.Column, v event.Value) string {
	switch v.Kind {
	case event.Int, event.Year:
		return strconv.FormatInt(v.Num, 10)
	case event.Uint:
		return strconv.FormatUint(uint64(v.Num), 10)
	case event.Float:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(v.Num))), 'g', -1, 64)
	case event.Double:
		return strconv.FormatFloat(math.Float64frombits(uint64(v.Num)), 'g', -1, 64)
	case event.Decimal:
		return decimalString(v)
	case event.Bit:
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(v.Num))
		return string(b[8-(c.Length+7)/8:])
	case event.Enum:
		if v.Num == 0 {
			return ""
		}
		return c.Labels[v.Num-1]
	case event.Set:
		return setText(c, uint64(v.Num))
	case event.Date, event.Time, event.DateTime, event.Timestamp:
		return temporalText(c, v)
	}
	return string(v.Bytes)
}

func decimalString(v event.Value) string {
	if v.Bytes != nil {
		return string(v.Bytes)
	}
	sign, n := "", v.Num
	if n < 0 {
		sign, n = "-", -n
	}
	s := fmt.Sprintf("%0*d", int(v.Scale)+1, n)
	if v.Scale == 0 {
		return sign + s
	}
	return sign + s[:len(s)-int(v.Scale)] + "." + s[len(s)-int(v.Scale):]
}

func setText(c event.Column, bits uint64) string {
	var on []string
	for i, label := range c.Labels {
		if bits>>i&1 != 0 {
			on = append(on, label)
		}
	}
	return strings.Join(on, ",")
}

func temporalText(c event.Column, v event.Value) string {
	cut := func(s string) string {
		if c.Scale == 0 {
			return s[:len(s)-7]
		}
		return s[:len(s)-6+c.Scale]
	}
	switch v.Kind {
	case event.Time:
		sign, n := "", v.Num
		if n < 0 {
			sign, n = "-", -n
		}
		s := n / 1_000_000
		return cut(fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, s/3600, s/60%60, s%60, n%1_000_000))
	case event.Timestamp:
		if v.Num == 0 {
			return cut("0000-00-00 00:00:00.000000")
		}
		return cut(time.UnixMicro(v.Num).UTC().Format("2006-01-02 15:04:05.000000"))
	}
	y, mo, d, h, mi, s, us := event.UnpackDateTime(v.Num)
	if v.Kind == event.Date {
		return fmt.Sprintf("%04d-%02d-%02d", y, mo, d)
	}
	return cut(fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", y, mo, d, h, mi, s, us))
}

// compactJSON cuts the spaces that the server puts after ':' and ','.
func compactJSON(s string) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inside && c == '\\':
			b.WriteByte(c)
			i++
		case c == '"':
			inside = !inside
		case c == ' ' && !inside:
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
