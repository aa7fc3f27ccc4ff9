package kafka

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ledger says which records of which partitions make up one Kafka transaction,
// by the sequence numbers of its producer. It lies beside the position in the
// checkpoint topic and tells to which transaction an undecided batch belongs:
// numbers of source transactions do not, as several Kafka transactions may
// carry the same one.
type ledger map[place]span

// span is a run of sequence numbers, which wrap.
type span struct{ from, count int32 }

func (s span) holds(seq int32) bool { return (uint32(seq)-uint32(s.from))&0x7fffffff < uint32(s.count) }

// lineKey is the key of the newest ledger of a session. There is one for each,
// so that a later session does not cover it up while a partition is out of
// reach.
func lineKey(s session) string { return fmt.Sprintf("%s%d.%d", keyLine, s.pid, s.epoch) }

func parseLineKey(key string) (s session, ok bool) {
	rest, ok := strings.CutPrefix(key, keyLine)
	if !ok {
		return s, false
	}
	n, err := fmt.Sscanf(rest, "%d.%d", &s.pid, &s.epoch)
	return s, err == nil && n == 2
}

// encodeLedger renders the open transaction's part in each partition.
func encodeLedger(parts []*partition) []byte {
	b := []byte{'{'}
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, p.place().String()) // names of topics need no escapes
		b = append(b, ":["...)
		b = strconv.AppendInt(b, int64(p.span.from), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(p.span.count), 10)
		b = append(b, ']')
	}
	return append(b, '}')
}

func parseLedger(value []byte) (ledger, error) {
	var raw map[string][2]int32
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, err
	}
	l := ledger{}
	for name, s := range raw {
		i := strings.LastIndexByte(name, '/')
		part, err := strconv.ParseInt(name[i+1:], 10, 32)
		if i < 0 || err != nil {
			return nil, fmt.Errorf("%q is no partition", name)
		}
		l[place{name[:i], int32(part)}] = span{s[0], s[1]}
	}
	return l, nil
}

// maxLedgers bounds how many are kept for partitions that stay out of reach.
const maxLedgers = 64

// dropLedgers has the ledgers of earlier sessions removed with the next
// position, when nothing can hang any more that they tell of.
func (l *line) dropLedgers() {
	var old []session
	for key := range l.log.values {
		if s, ok := parseLineKey(key); ok && s != l.producer.session {
			old = append(old, s)
		}
	}
	slices.SortFunc(old, func(a, b session) int { return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.epoch, b.epoch)) })
	if !l.seenAll() {
		old = old[:max(0, len(old)-maxLedgers)]
	}
	for _, s := range old {
		l.pins = append(l.pins, entry{lineKey(s), nil})
	}
}

// seenAll tells that Connect saw all partitions that may hold records of ours.
func (l *line) seenAll() bool {
	for _, at := range l.data {
		if !l.clean[at] {
			return false
		}
	}
	return l.allThere
}
