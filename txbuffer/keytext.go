package txbuffer

import (
	"strconv"
	"strings"

	"github.com/cdcd-io/cdcd/event"
)

// keyText cuts transaction ids from chunks of text. A chunk is only ever
// appended to, so the strings stay good as long as somebody holds them, and the
// cost is one allocation in about eighty transactions.
type keyText struct {
	chunk   strings.Builder
	scratch []byte
}

const keyChunk = 4 << 10

func (k *keyText) gtid(g event.GTID) string {
	k.scratch = g.Append(k.scratch[:0])
	return k.cut()
}

func (k *keyText) place(c event.Coord) string {
	k.scratch = k.scratch[:0]
	if c.File != nil {
		k.scratch = append(k.scratch, c.File.Name...)
	}
	k.scratch = strconv.AppendUint(append(k.scratch, ':'), c.Offset, 10)
	return k.cut()
}

func (k *keyText) cut() string {
	if k.chunk.Cap()-k.chunk.Len() < len(k.scratch) {
		k.chunk = strings.Builder{}
		k.chunk.Grow(max(keyChunk, len(k.scratch)))
	}
	from := k.chunk.Len()
	k.chunk.Write(k.scratch)
	return k.chunk.String()[from:]
}
