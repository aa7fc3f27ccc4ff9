package cachekey

import "github.com/cdcd-io/cdcd/event"

// parseDateTime reads 2026-01-02 or 2026-01-02 03:04:05.6, also dates that no
// calendar has, which the server may hold.
func parseDateTime(s string, dateOnly bool) (packed int64, ok bool) {
	const shape = "0000-00-00 00:00:00"
	want := shape
	if dateOnly {
		want = shape[:10]
	}
	if len(s) < len(want) || !shaped(s[:len(want)], want) {
		return 0, false
	}
	y, m, d := digits(s[:4]), digits(s[5:7]), digits(s[8:10])
	if dateOnly {
		return event.PackDateTime(y, m, d, 0, 0, 0, 0), len(s) == 10 && m <= 12 && d <= 31
	}
	micros, ok := fraction(s[len(want):])
	h, mi, sec := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	return event.PackDateTime(y, m, d, h, mi, sec, micros), ok && m <= 12 && d <= 31 && h <= 23 && mi <= 59 && sec <= 59
}

// shaped reports whether s has digits where shape has them, and its other
// characters.
func shaped(s, shape string) bool {
	for i := range len(shape) {
		if isDigit(s[i]) != (shape[i] == '0') || !isDigit(s[i]) && s[i] != shape[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func digits(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// fraction reads "" or a point with one to six digits, in microseconds.
func fraction(s string) (micros int, ok bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != '.' || len(s) < 2 || len(s) > 7 {
		return 0, false
	}
	for i := 1; i < 7; i++ {
		micros *= 10
		if i < len(s) {
			if !isDigit(s[i]) {
				return 0, false
			}
			micros += int(s[i] - '0')
		}
	}
	return micros, true
}
