package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var durationType = reflect.TypeFor[time.Duration]()

// scalar decodes a plain value into a Go one.
func (f *File) scalar(n *yaml.Node, path string, v reflect.Value) {
	s, ok := f.scalarText(n, path)
	if !ok {
		return
	}
	if err := setScalar(v, s, n, strings.HasSuffix(path, "_bytes")); err != nil {
		if _, secret := f.raw[path]; secret {
			err = errors.New(wanted(v.Type())) // the text of a reference stays out of messages
		}
		f.report(n, path, "%v", err)
	}
}

// scalarText returns the text of a scalar with its references replaced.
func (f *File) scalarText(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		f.report(n, path, "must be a single value, not %s", describe(n))
		return "", false
	}
	if isNull(n) {
		f.report(n, path, `has no value (write "" for an empty text, or leave the key out)`)
		return "", false
	}
	s, changed, err := f.expand(n.Value)
	if err != nil {
		f.report(n, path, "%v", err)
		return "", false
	}
	if changed {
		f.raw[path] = n.Value
	}
	return s, true
}

func setScalar(v reflect.Value, s string, n *yaml.Node, size bool) error {
	if v.Type() == durationType {
		return setDuration(v, s)
	}
	switch v.Kind() {
	case reflect.String:
		if n.Tag == "!!bool" {
			return fmt.Errorf("must be a text, not true or false (quote it if it is one)")
		}
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("must be true or false, not %q", s)
		}
		v.SetBool(s == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return setInt(v, s, size)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return setUint(v, s, size)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(s, v.Type().Bits())
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("must be a number, not %q", s)
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("cannot be set from a file")
	}
	return nil
}

// wanted says what a type takes, without the value that did not fit.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "must be a time with a unit, like 500ms, 10s or 5m"
	case t.Kind() == reflect.Bool:
		return "must be true or false"
	case t.Kind() == reflect.String:
		return "must be a text"
	}
	return "must be a number in range"
}

func setDuration(v reflect.Value, s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%s, not %q", wanted(durationType), s)
	}
	v.SetInt(int64(d))
	return nil
}

func setInt(v reflect.Value, s string, size bool) error {
	x, err := parseInt(s, size)
	if err != nil {
		return err
	}
	if v.OverflowInt(x) {
		return fmt.Errorf("%s is out of range", s)
	}
	v.SetInt(x)
	return nil
}

func setUint(v reflect.Value, s string, size bool) error {
	x, err := parseInt(s, size)
	if err != nil {
		return err
	}
	if x < 0 || v.OverflowUint(uint64(x)) {
		return fmt.Errorf("%s is out of range", s)
	}
	v.SetUint(uint64(x))
	return nil
}

// units are the endings of sizes. The decimal ones are left out on purpose: who
// writes 64MB for a buffer nearly always means 64MiB.
var units = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseInt(s string, size bool) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok && size {
			number, unit = strings.TrimSpace(rest), u.size
		}
	}
	x, err := strconv.ParseInt(strings.ReplaceAll(number, "_", ""), 10, 64)
	switch {
	case err != nil && size:
		return 0, fmt.Errorf("must be a size, like 65536, 64KiB or 16MiB, not %q", s)
	case err != nil:
		return 0, fmt.Errorf("must be a whole number, not %q", s)
	case x > math.MaxInt64/unit || x < math.MinInt64/unit:
		return 0, fmt.Errorf("%s is out of range", s)
	}
	return x * unit, nil
}

// formatSize writes a size the way a person would.
func formatSize(x int64) string {
	for _, u := range units {
		if x != 0 && x%u.size == 0 {
			return strconv.FormatInt(x/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(x, 10)
}
