package binlog

import "github.com/cdcd-io/cdcd/event"

// invalid is what the temporal readers return for bytes that are no value.
const invalid = -1 << 63

// temporal sets v unless n is invalid.
func (d *decoder) temporal(v *event.Value, kind event.Kind, n int64) bool {
	*v = event.Value{Kind: kind, Num: n}
	return d.check(n != invalid, whyValue)
}

func year(b byte) int64 {
	if b == 0 {
		return 0
	}
	return int64(b) + 1900
}

// dateValue reads day (5 bits), month (4 bits) and year.
func dateValue(b []byte) int64 {
	n := le24(b)
	day, month, year := n&31, n>>5&15, n>>9
	if month > 12 || year > 9999 {
		return invalid
	}
	return int64((year*13+month)<<5|day) << 37
}

// fraction reads the big-endian fraction of 0 to 3 bytes that follows the
// seconds, each byte holding two digits, as microseconds.
func fraction(b []byte) (micros int64, ok bool) {
	f := int64(bigEndian(b))
	switch len(b) {
	case 1:
		f *= 10_000
	case 2:
		f *= 100
	}
	return f, f < 1_000_000
}

// dateTimeValue reads 40 bits with an offset: years times 13 plus months, days,
// hours, minutes, seconds, just as event.PackDateTime has them; then the fraction.
func dateTimeValue(b []byte) int64 {
	n := int64(bigEndian(b[:5])) - 1<<39
	micros, ok := fraction(b[5:])
	if n < 0 || !ok || !clockOK(n>>12&31, n>>6&63, n&63) || n>>22/13 > 9999 {
		return invalid
	}
	return n<<20 | micros
}

func clockOK(hour, minute, second int64) bool { return hour < 24 && minute < 60 && second < 60 }

// timestampValue reads big-endian seconds since the epoch, then the fraction.
// MariaDB stores fractions of the epoch's own second, so only 0 is the zero
// timestamp.
func timestampValue(b []byte) int64 {
	micros, ok := fraction(b[4:])
	seconds := int64(bigEndian(b[:4]))
	if !ok {
		return invalid
	}
	return seconds*1_000_000 + micros
}

// timeValue reads a signed fixed-point number, offset so that its bytes sort:
// 10 bits of hours, 6 of minutes, 6 of seconds, then the fraction. The
// magnitude of a negative time is that of the whole number, fraction included.
func timeValue(b []byte) int64 {
	fracBits := 8 * uint(len(b)-3)
	n := int64(bigEndian(b)) - 1<<(23+fracBits)
	negative := n < 0
	if negative {
		n = -n
	}
	hms, frac := n>>fracBits, n&(1<<fracBits-1)
	switch len(b) {
	case 4:
		frac *= 10_000
	case 5:
		frac *= 100
	}
	hour, minute, second := hms>>12, hms>>6&63, hms&63
	if hour > 838 || minute > 59 || second > 59 || frac > 999_999 {
		return invalid
	}
	micros := ((hour*60+minute)*60+second)*1_000_000 + frac
	if negative {
		return -micros
	}
	return micros
}
