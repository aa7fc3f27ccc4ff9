package debezium

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/event"
)

// TopicOf is the topic of the table's rows under a source of that name.
func (c *Config) TopicOf(source, database, table string) string {
	own := *c
	if own.Prefix == "" {
		own.Prefix = sanitize(source)
	}
	return own.topicOf(database, table)
}

// ParseKey is the inverse of rendering a key: the values of the columns
// Table.Key, in that order. It fails on what no row of the table has as its key.
func (c *Config) ParseKey(t *event.Table, key []byte) ([]event.Value, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(key, &members); err != nil {
		return nil, err
	}
	if payload := members["payload"]; c.Schemas {
		members = nil
		if err := json.Unmarshal(payload, &members); err != nil {
			return nil, err
		}
	}
	values := make([]event.Value, len(t.Key))
	for i, at := range t.Key {
		col := &t.Columns[at]
		m, ok := c.mapColumn(col)
		raw := members[col.Name]
		if !ok || raw == nil {
			return nil, fmt.Errorf("the key has no column %s", col.Name)
		}
		v, err := parseValue(col, m, raw)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", col.Name, err)
		}
		values[i] = v
	}
	return values, nil
}

// parseValue reads one value back, by what it is in JSON.
func parseValue(col *event.Column, m mapping, raw []byte) (event.Value, error) {
	if m.render == asBool {
		on, err := strconv.ParseBool(string(raw))
		return event.Value{Kind: event.Bit, Num: boolNum(on)}, err
	}
	if raw[0] != '"' {
		return parseNumber(col, m, string(raw))
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return event.Value{}, err
	}
	return parseString(col, m, s)
}

func boolNum(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

var errForm = errors.New("the value is not of the column's form")

func parseNumber(col *event.Column, m mapping, s string) (event.Value, error) {
	switch m.render {
	case asFloat, asDouble:
		return parseFloat(m.render, s)
	case asDoubled:
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return event.Value{}, errForm
		}
		return event.Value{Kind: event.Decimal, Bytes: []byte(r.FloatString(col.Scale))}, nil
	case asNumber, asDays, asMillis, asMicros:
	default:
		return event.Value{}, errForm
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return event.Value{}, err
	}
	switch m.render {
	case asDays:
		return packedDate(event.Date, time.Unix(n*86_400, 0))
	case asMillis:
		return packedDate(event.DateTime, time.UnixMilli(n))
	case asMicros:
		return packedDate(event.DateTime, time.UnixMicro(n))
	}
	if m.kind == event.Int && col.Unsigned {
		return event.Value{Kind: event.Uint, Num: n}, nil
	}
	return event.Value{Kind: m.kind, Num: n}, nil
}

func parseFloat(as render, s string) (event.Value, error) {
	if as == asFloat {
		f, err := strconv.ParseFloat(s, 32)
		return event.Value{Kind: event.Float, Num: int64(math.Float32bits(float32(f)))}, err
	}
	f, err := strconv.ParseFloat(s, 64)
	return event.Value{Kind: event.Double, Num: int64(math.Float64bits(f))}, err
}

func packedDate(kind event.Kind, t time.Time) (event.Value, error) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return event.Value{}, errForm
	}
	n := event.PackDateTime(t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000)
	return event.Value{Kind: kind, Num: n}, nil
}

func parseString(col *event.Column, m mapping, s string) (event.Value, error) {
	switch m.render {
	case asText:
		return event.Value{Kind: m.kind, Bytes: []byte(s)}, nil
	case asLabel:
		at := slices.Index(col.Labels, s) + 1
		if at == 0 && s != "" {
			return event.Value{}, errForm
		}
		return event.Value{Kind: event.Enum, Num: int64(at)}, nil
	case asLabels:
		return parseSet(col, s)
	case asPlain:
		if _, ok := parseWide([]byte(s)); !ok {
			return event.Value{}, errForm
		}
		return event.Value{Kind: event.Decimal, Bytes: []byte(s)}, nil
	case asInstant:
		return parseInstant(s)
	case asDays, asMillis, asMicros:
		return parseServerDate(m.kind, s)
	}
	return parseBinary(col, m, s)
}

// parseSet reads labels joined by commas; no label has one.
func parseSet(col *event.Column, s string) (event.Value, error) {
	v := event.Value{Kind: event.Set}
	if s == "" {
		return v, nil
	}
	for label := range strings.SplitSeq(s, ",") {
		at := slices.Index(col.Labels, label)
		if at < 0 {
			return v, errForm
		}
		v.Num |= 1 << at
	}
	return v, nil
}

func parseBinary(col *event.Column, m mapping, s string) (event.Value, error) {
	var b []byte
	var err error
	switch m.render {
	case asBase64URL:
		b, err = base64.URLEncoding.DecodeString(s)
	case asHex:
		b, err = hex.DecodeString(s)
	case asBase64, asBits, asUnscaled, asUnsigned:
		b, err = base64.StdEncoding.DecodeString(s)
	default:
		err = errForm
	}
	if err != nil {
		return event.Value{}, err
	}
	switch m.render {
	case asBits:
		return bitsOf(b)
	case asUnscaled:
		return event.Value{Kind: event.Decimal, Bytes: decimalText(b, col.Scale)}, nil
	case asUnsigned:
		return event.Value{Kind: event.Uint, Num: int64(twosOf(b).Uint64())}, nil
	}
	return event.Value{Kind: event.Bytes, Bytes: b}, nil
}

func bitsOf(b []byte) (event.Value, error) {
	if len(b) > 8 {
		return event.Value{}, errForm
	}
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return event.Value{Kind: event.Bit, Num: int64(n)}, nil
}

// twosOf reads a big-endian two's complement.
func twosOf(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// decimalText is the unscaled number in digits with its point.
func decimalText(unscaled []byte, scale int) []byte {
	n := twosOf(unscaled)
	digits := new(big.Int).Abs(n).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	if n.Sign() < 0 {
		digits = "-" + digits
	}
	if scale == 0 {
		return []byte(digits)
	}
	point := len(digits) - scale
	return []byte(digits[:point] + "." + digits[point:])
}

func parseInstant(s string) (event.Value, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return event.Value{Kind: event.Timestamp, Num: t.UnixMicro()}, nil
	}
	v, err := parseServerDate(event.DateTime, s)
	if err == nil && v.Num != 0 {
		err = errForm
	}
	return event.Value{Kind: event.Timestamp}, err
}

// parseServerDate reads a date as the server shows it, one that no calendar has
// (invalid_dates: text).
func parseServerDate(kind event.Kind, s string) (event.Value, error) {
	var year, month, day, hour, minute, second, micro int
	date, clock, _ := strings.Cut(s, " ")
	_, err := fmt.Sscanf(date, "%04d-%02d-%02d", &year, &month, &day)
	if err == nil && clock != "" {
		whole, part, _ := strings.Cut(clock, ".")
		if _, err = fmt.Sscanf(whole, "%02d:%02d:%02d", &hour, &minute, &second); err == nil && part != "" {
			micro, err = strconv.Atoi((part + "000000")[:6])
		}
	}
	return event.Value{Kind: kind, Num: event.PackDateTime(year, month, day, hour, minute, second, micro)}, err
}
