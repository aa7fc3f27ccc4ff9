package cachekey

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
)

// ErrNoKey is the error of [Template.Key] for NULL where the template says
// null=skip: such a row has no key, there is nothing to look up.
var ErrNoKey = errors.New("a row with NULL in this column has no key")

// Key renders the key that the daemon renders for a row with these values, in
// the order of [Template.Columns].
//
// A value is any integer, bool, string, []byte, time.Time or time.Duration, a
// type made of one, a pointer to one, or a driver.Valuer; nil is NULL. What a
// column's modifier takes is narrower: decimal takes integers and decimal text;
// hex and uuid take bytes, uuid also the text of one; date and datetime take a
// time.Time, whose own wall clock counts, or the text as the server writes it;
// timestamp takes a time.Time, which is written in UTC; the zero time.Time is the
// server's zero date; time takes a time.Duration. Labels of a SET are joined with commas, in the order of its
// definition.
func (t *Template) Key(values ...any) (string, error) {
	if len(values) != len(t.names) {
		return "", resilience.Errorf(resilience.Fatal, "cache_key_arguments", "render key",
			"got %s, the template has %s", resilience.Count(len(values), "value"), resilience.Count(len(t.names), "column")).
			WithPlace("%q", t.text).WithHint("pass the values of %s, in this order", strings.Join(t.names, ", "))
	}
	b, err := t.appendArgs(make([]byte, 0, 64), values)
	return string(b), err
}

// KeyOf is Key with the values by the names of their columns. Columns that the
// template does not name are not looked at.
func (t *Template) KeyOf(row map[string]any) (string, error) {
	values := make([]any, len(t.names))
	for i, name := range t.names {
		v, ok := row[name]
		if !ok {
			return "", t.refuse(name, "there is no value for it", "pass one, nil for NULL")
		}
		values[i] = v
	}
	return t.Key(values...)
}

func (t *Template) appendArgs(dst []byte, values []any) ([]byte, error) {
	for i := range t.parts {
		p := &t.parts[i]
		if p.column < 0 {
			dst = append(dst, p.literal...)
			continue
		}
		from := len(dst)
		v, err := plain(values[p.column])
		if err != nil {
			return nil, t.refuse(t.names[p.column], err.Error(), "see Template.Key for what a value may be")
		}
		if v == nil {
			if dst, err = t.appendNull(dst, p); err != nil {
				return nil, err
			}
			continue
		}
		var problem string
		if dst, problem = appendArg(dst, p, v); problem != "" {
			return nil, t.refuse(t.names[p.column], problem, "the template says that it holds "+p.form.holds())
		}
		dst = finish(dst, from)
	}
	return dst, nil
}

func (t *Template) appendNull(dst []byte, p *part) ([]byte, error) {
	switch p.null {
	case nullToken:
		return append(dst, token...), nil
	case nullSkip:
		return nil, fmt.Errorf("render key at %q, column %s: %w", t.text, t.names[p.column], ErrNoKey)
	}
	return nil, t.refuse(t.names[p.column], "the value is NULL", "the template says nothing of NULL: |null=skip or |null=token")
}

func (t *Template) refuse(column, cause, hint string) error {
	return resilience.Errorf(resilience.Fatal, "cache_key_value", "render key", "%s", cause).
		WithPlace("%q, column %s", t.text, column).WithHint("%s", hint)
}

// plain reduces v to nil, int64, uint64, string, []byte, time.Time or time.Duration.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, int64, uint64, string, time.Time, time.Duration:
		return v, nil
	case int:
		return int64(v), nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return v, nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, nil
	}
	if of, ok := v.(driver.Valuer); ok && !isUUID(r) {
		inner, err := of.Value()
		if _, again := inner.(driver.Valuer); again || err != nil {
			return nil, fmt.Errorf("%T gives no value: %v", v, err)
		}
		return plain(inner)
	}
	return reduced(r)
}

// isUUID: the common UUID types are 16 bytes whose Valuer gives text.
func isUUID(r reflect.Value) bool {
	return r.Kind() == reflect.Array && r.Len() == 16 && r.Type().Elem().Kind() == reflect.Uint8
}

func reduced(r reflect.Value) (any, error) {
	switch {
	case r.Kind() == reflect.Pointer:
		return plain(r.Elem().Interface())
	case r.CanInt():
		return r.Int(), nil
	case r.CanUint():
		return r.Uint(), nil
	case r.Kind() == reflect.String:
		return r.String(), nil
	case r.Kind() == reflect.Bool && r.Bool():
		return int64(1), nil
	case r.Kind() == reflect.Bool:
		return int64(0), nil
	case r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8:
		return plain(r.Bytes())
	case isUUID(r):
		b := make([]byte, 16)
		reflect.Copy(reflect.ValueOf(b), r)
		return b, nil
	}
	return nil, fmt.Errorf("%s is not a value of a key", r.Type())
}

// appendArg appends v as the column's form has it; a problem says why not.
func appendArg(dst []byte, p *part, v any) ([]byte, string) {
	switch p.form {
	case formPlain:
		return appendPlain(dst, p.fold, v)
	case formHex, formUUID:
		return appendBinaryArg(dst, p.form, v)
	case formDecimal:
		return appendDecimalArg(dst, v)
	case formTime:
		if d, ok := v.(time.Duration); ok {
			return appendDuration(dst, d.Microseconds()), ""
		}
		return dst, fmt.Sprintf("%T is no time.Duration", v)
	}
	return appendTemporal(dst, p.form, v)
}

func appendPlain(dst []byte, mode fold, v any) ([]byte, string) {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10), ""
	case uint64:
		return strconv.AppendUint(dst, v, 10), ""
	case string:
		var f folder
		return append(dst, f.text(mode, []byte(v))...), ""
	case []byte:
		return dst, "[]byte may be text or binary data: convert it to string, or write {column|hex}"
	}
	return dst, fmt.Sprintf("%T is neither an integer nor text", v)
}

func appendBinaryArg(dst []byte, f form, v any) ([]byte, string) {
	switch v := v.(type) {
	case []byte:
		return appendBinary(dst, f, v), ""
	case string:
		if b, ok := parseUUID(v); ok && f == formUUID {
			return appendBinary(dst, f, b), ""
		}
		if f == formUUID {
			return dst, "the text is no UUID"
		}
	}
	return dst, fmt.Sprintf("%T is no []byte", v)
}

// parseUUID reads 8-4-4-4-12 hexadecimal digits.
func parseUUID(s string) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return nil, false
	}
	b := make([]byte, 0, 16)
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 32 {
		return nil, false
	}
	for i := 0; i < len(digits); i += 2 {
		n, err := strconv.ParseUint(digits[i:i+2], 16, 8)
		if err != nil {
			return nil, false
		}
		b = append(b, byte(n))
	}
	return b, true
}

func appendDecimalArg(dst []byte, v any) ([]byte, string) {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10), ""
	case uint64:
		return strconv.AppendUint(dst, v, 10), ""
	case string:
		if b, ok := appendDecimalText(dst, v); ok {
			return b, ""
		}
		return dst, "the text is no decimal number"
	case []byte:
		if b, ok := appendDecimalText(dst, v); ok {
			return b, ""
		}
		return dst, "the text is no decimal number"
	}
	return dst, fmt.Sprintf("%T is no exact number", v)
}

// appendTemporal appends a date or a date with time of day.
func appendTemporal(dst []byte, f form, v any) ([]byte, string) {
	t, ok := v.(time.Time)
	if !ok {
		s, text := v.(string)
		if !text || f == formTimestamp {
			return dst, fmt.Sprintf("%T is no time.Time", v)
		}
		n, ok := parseDateTime(s, f == formDate)
		if !ok {
			return dst, "the text is not as the server writes it"
		}
		return appendPacked(dst, f, n), ""
	}
	if t.IsZero() {
		return appendPacked(dst, f, 0), ""
	}
	if f == formTimestamp {
		t = t.UTC()
	}
	if t.Year() < 0 || t.Year() > 9999 {
		return dst, "no date of MySQL is in this year"
	}
	return appendPacked(dst, f, packed(t)), ""
}

func appendPacked(dst []byte, f form, n int64) []byte {
	if f == formDate {
		return appendDate(dst, n)
	}
	return appendDateTime(dst, n)
}
