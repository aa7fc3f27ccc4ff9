package debezium

import (
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// render says how a value is written.
type render uint8

const (
	asNumber    render = iota // Num, whatever it means
	asUnsigned                // Num as an unsigned Decimal of scale 0
	asFloat                   // 32 bits
	asDouble                  // 64 bits
	asUnscaled                // decimal as base64
	asPlain                   // decimal as text
	asDoubled                 // decimal as double
	asBool                    // BIT(1)
	asBits                    // BIT(n)
	asText                    // text and JSON
	asBase64                  // binary
	asBase64URL               // binary
	asHex                     // binary
	asDays                    // DATE
	asMillis                  // DATETIME(0) to (3)
	asMicros                  // DATETIME(4) to (6)
	asInstant                 // TIMESTAMP
	asLabel                   // ENUM
	asLabels                  // SET
)

// mapping is what a column becomes: how its values are written, and the type
// that the schema states, with its semantic name and parameters.
type mapping struct {
	kind, alt event.Kind // kinds of value that may come
	render    render
	typ       string
	name      string
	params    []param
}

type param struct{ key, value string }

// mapColumn is false for types that the format has no form for.
func (c *Config) mapColumn(col *event.Column) (m mapping, ok bool) {
	switch col.Type {
	case event.TypeTinyInt, event.TypeSmallInt, event.TypeMediumInt, event.TypeInt, event.TypeBigInt:
		return c.mapInteger(col), true
	case event.TypeDecimal:
		return c.mapDecimal(col), true
	case event.TypeFloat:
		return mapping{kind: event.Float, render: asFloat, typ: "float"}, true
	case event.TypeDouble:
		return mapping{kind: event.Double, render: asDouble, typ: "double"}, true
	case event.TypeBit:
		return mapBit(col), true
	case event.TypeYear:
		return mapping{kind: event.Year, typ: "int32", name: "io.debezium.time.Year"}, true
	case event.TypeDate, event.TypeTime, event.TypeDateTime, event.TypeTimestamp:
		return mapTemporal(col), true
	case event.TypeChar, event.TypeText:
		return mapping{kind: event.Text, render: asText, typ: "string"}, true
	case event.TypeBinary, event.TypeBytes:
		return c.mapBinary(), true
	case event.TypeEnum:
		return mapping{kind: event.Enum, render: asLabel, typ: "string", name: "io.debezium.data.Enum", params: allowed(col)}, true
	case event.TypeSet:
		return mapping{kind: event.Set, render: asLabels, typ: "string", name: "io.debezium.data.EnumSet", params: allowed(col)}, true
	case event.TypeJSON:
		return mapping{kind: event.JSON, render: asText, typ: "string", name: "io.debezium.data.Json"}, true
	}
	return mapping{}, false
}

func (c *Config) mapInteger(col *event.Column) mapping {
	m := mapping{kind: event.Int, alt: event.Uint, typ: "int32"}
	switch {
	case col.Type == event.TypeTinyInt && !col.Unsigned:
		m.typ = c.TinyInt
	case col.Type == event.TypeTinyInt, col.Type == event.TypeSmallInt && !col.Unsigned:
		m.typ = "int16"
	case col.Type == event.TypeBigInt && col.Unsigned && c.BigintUnsigned == "precise":
		m.render, m.typ, m.name, m.params = asUnsigned, "bytes", decimalName, decimalParams(0, 20)
	case col.Type == event.TypeBigInt, col.Type == event.TypeInt && col.Unsigned:
		m.typ = "int64"
	}
	return m
}

const decimalName = "org.apache.kafka.connect.data.Decimal"

func decimalParams(scale, precision int) []param {
	return []param{{"scale", strconv.Itoa(scale)}, {"connect.decimal.precision", strconv.Itoa(precision)}}
}

func (c *Config) mapDecimal(col *event.Column) mapping {
	switch c.Decimal {
	case "string":
		return mapping{kind: event.Decimal, render: asPlain, typ: "string"}
	case "double":
		return mapping{kind: event.Decimal, render: asDoubled, typ: "double"}
	}
	return mapping{kind: event.Decimal, render: asUnscaled, typ: "bytes", name: decimalName,
		params: decimalParams(col.Scale, col.Precision)}
}

func mapBit(col *event.Column) mapping {
	if col.Length <= 1 {
		return mapping{kind: event.Bit, render: asBool, typ: "boolean"}
	}
	return mapping{kind: event.Bit, render: asBits, typ: "bytes", name: "io.debezium.data.Bits",
		params: []param{{"length", strconv.Itoa(col.Length)}}}
}

func mapTemporal(col *event.Column) mapping {
	switch {
	case col.Type == event.TypeDate:
		return mapping{kind: event.Date, render: asDays, typ: "int32", name: "io.debezium.time.Date"}
	case col.Type == event.TypeTime:
		return mapping{kind: event.Time, typ: "int64", name: "io.debezium.time.MicroTime"}
	case col.Type == event.TypeTimestamp:
		return mapping{kind: event.Timestamp, render: asInstant, typ: "string", name: "io.debezium.time.ZonedTimestamp"}
	case col.Scale <= 3:
		return mapping{kind: event.DateTime, render: asMillis, typ: "int64", name: "io.debezium.time.Timestamp"}
	}
	return mapping{kind: event.DateTime, render: asMicros, typ: "int64", name: "io.debezium.time.MicroTimestamp"}
}

func (c *Config) mapBinary() mapping {
	switch c.Binary {
	case "base64":
		return mapping{kind: event.Bytes, render: asBase64, typ: "string"}
	case "base64_url_safe":
		return mapping{kind: event.Bytes, render: asBase64URL, typ: "string"}
	case "hex":
		return mapping{kind: event.Bytes, render: asHex, typ: "string"}
	}
	return mapping{kind: event.Bytes, render: asBase64, typ: "bytes"}
}

// allowed lists the labels; a comma inside one is escaped here and nowhere else.
func allowed(col *event.Column) []param {
	labels := make([]string, len(col.Labels))
	for i, l := range col.Labels {
		labels[i] = strings.ReplaceAll(l, ",", `\,`)
	}
	return []param{{"allowed", strings.Join(labels, ",")}}
}
