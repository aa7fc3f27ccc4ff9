package mysql

import (
	"cmp"
	"math"
	"strconv"
	"testing"
)

func TestLessInteger(t *testing.T) {
	numbers := []int64{math.MinInt64, -1000, -99, -10, -9, -1, 0, 1, 9, 10, 99, 1000, math.MaxInt64}
	for _, a := range numbers {
		for _, b := range numbers {
			if got := lessInteger(strconv.FormatInt(a, 10), strconv.FormatInt(b, 10)); got != cmp.Less(a, b) {
				t.Errorf("%d < %d: %v", a, b, got)
			}
		}
	}
	if !lessInteger("9223372036854775807", "18446744073709551615") {
		t.Error("unsigned")
	}
}
