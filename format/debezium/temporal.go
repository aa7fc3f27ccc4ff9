package debezium

import (
	"strconv"

	"github.com/cdcd-io/cdcd/event"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
)

// daysOf counts the days from 1970-01-01 to a date of the proleptic Gregorian
// calendar. The year begins in March here, so that a leap day is its last.
func daysOf(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day-1) - 719468
}

// dateOf is the inverse of daysOf, for days from year 1 on.
func dateOf(days int64) (year, month, day int) {
	n := int(days) + 719468
	era := n / 146097
	n -= era * 146097
	y := (n - n/1460 + n/36524 - n/146096) / 365
	n -= 365*y + y/4 - y/100
	m := (5*n + 2) / 153
	day, month, year = n-(153*m+2)/5+1, m+3, y+era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

var monthDays = [13]uint8{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// realDate reports whether the calendar has the date. Year 0 does not count: the
// server does not calculate with it either.
func realDate(year, month, day int) bool {
	if year < 1 || month < 1 || month > 12 || day < 1 {
		return false
	}
	leap := month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0)
	return day <= int(monthDays[month]) || leap && day == 29
}

// microsOf reads a packed DATETIME as if it were in UTC.
func microsOf(packed int64) (micros int64, ok bool) {
	y, mo, d, h, mi, s, us := event.UnpackDateTime(packed)
	seconds := daysOf(y, mo, d)*86_400 + int64(h*3600+mi*60+s)
	return seconds*microsPerSecond + int64(us), realDate(y, mo, d)
}

// appendInstant appends a TIMESTAMP in UTC with its fraction digits.
func appendInstant(dst []byte, micros int64, digits int) []byte {
	days := micros / microsPerDay
	rest := int(micros - days*microsPerDay)
	seconds := rest / microsPerSecond
	y, mo, d := dateOf(days)
	dst = appendDate(append(dst, '"'), y, mo, d)
	dst = appendClock(append(dst, 'T'), seconds/3600, seconds/60%60, seconds%60)
	dst = appendFraction(dst, rest%microsPerSecond, digits)
	return append(dst, 'Z', '"')
}

// appendServerText appends a date as the server shows it.
func appendServerText(dst []byte, v *event.Value, digits int) []byte {
	var packed int64
	if v.Kind != event.Timestamp { // an invalid timestamp is the zero one
		packed = v.Num
	}
	y, mo, d, h, mi, s, us := event.UnpackDateTime(packed)
	dst = appendDate(append(dst, '"'), y, mo, d)
	if v.Kind != event.Date {
		dst = appendClock(append(dst, ' '), h, mi, s)
		dst = appendFraction(dst, us, digits)
	}
	return append(dst, '"')
}

func appendDate(dst []byte, y, m, d int) []byte {
	dst = append2(append2(dst, y/100), y%100)
	return append2(append(append2(append(dst, '-'), m), '-'), d)
}

func appendClock(dst []byte, h, m, s int) []byte {
	return append2(append(append2(append(append2(dst, h), ':'), m), ':'), s)
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendFraction appends the first digits of micros behind a point.
func appendFraction(dst []byte, micros, digits int) []byte {
	if digits == 0 {
		return dst
	}
	return appendPadded(append(dst, '.'), uint64(micros)/pow10[6-digits], digits)
}

// appendDays, appendMillis and appendMicros are false for dates that no
// calendar has.

func appendDays(dst []byte, packed int64) ([]byte, bool) {
	y, m, d, _, _, _, _ := event.UnpackDateTime(packed)
	if !realDate(y, m, d) {
		return dst, false
	}
	return strconv.AppendInt(dst, daysOf(y, m, d), 10), true
}

func appendMillis(dst []byte, packed int64) ([]byte, bool) {
	us, ok := microsOf(packed)
	if !ok {
		return dst, false
	}
	ms := us / 1000
	if us%1000 < 0 {
		ms--
	}
	return strconv.AppendInt(dst, ms, 10), true
}

func appendMicros(dst []byte, packed int64) ([]byte, bool) {
	us, ok := microsOf(packed)
	if !ok {
		return dst, false
	}
	return strconv.AppendInt(dst, us, 10), true
}
