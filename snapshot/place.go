package snapshot

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// order says how two places in the log lie to each other.
type order int

const (
	before    order = -1
	same      order = 0
	behind    order = 1
	unrelated order = 2 // places of different logs
)

// Passed reports whether a position is not before a place, which lies in the log
// of the same server.
func Passed(p *event.Position, place event.Coord) bool {
	return comparePlaces(p.File, *place.File, p.Offset, place.Offset).passed()
}

// comparePlaces orders places by the number at the end of the file's name, then
// by offset. Names that differ in more than the number, files of one name with
// different stamps and files of different servers belong to different logs.
func comparePlaces(a, b event.LogFile, aOffset, bOffset uint64) order {
	if differ(a.StampServer, b.StampServer) {
		return unrelated
	}
	if a.Name == b.Name {
		if differ(a.StampTime, b.StampTime) {
			return unrelated
		}
		return order(cmp.Compare(aOffset, bOffset))
	}
	aBase, aNumber, aOK := splitName(a.Name)
	bBase, bNumber, bOK := splitName(b.Name)
	if !aOK || !bOK || aBase != bBase || aNumber == bNumber {
		return unrelated
	}
	return order(cmp.Compare(aNumber, bNumber))
}

// differ reports whether both are known and not the same.
func differ(a, b uint32) bool { return a != 0 && b != 0 && a != b }

func splitName(name string) (base string, number uint64, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, 0, false
	}
	number, err := strconv.ParseUint(name[dot+1:], 10, 64)
	return name[:dot], number, err == nil
}

// passed reports that the first of two places is not before the second.
func (o order) passed() bool { return o == same || o == behind }
