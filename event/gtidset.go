package event

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// GTIDSet is a set of GTIDs. It has one owner, who may change it; Clone before
// sharing. On MySQL it holds the numbers of each source id and tag as sorted
// intervals; on MariaDB the last GTID of each domain, which stands for all
// lower numbers of that domain too. A nil set reads as an empty one.
type GTIDSet struct {
	flavor  Flavor
	runs    []gtidRun // MySQL, sorted by source id and tag, none empty
	last    int       // index of the run that grew last: most transactions grow it again
	domains []GTID    // MariaDB, sorted by domain
}

// gtidRun holds the numbers of one source id and tag.
type gtidRun struct {
	sid   [16]byte
	tag   string
	spans []gtidSpan // sorted, with gaps between them
}

// gtidSpan is the numbers from first up to, not including, end.
type gtidSpan struct{ first, end uint64 }

// NewGTIDSet returns an empty set.
func NewGTIDSet(f Flavor) *GTIDSet { return &GTIDSet{flavor: f} }

// Flavor is the family of servers whose GTIDs the set holds.
func (s *GTIDSet) Flavor() Flavor {
	if s == nil {
		return 0
	}
	return s.flavor
}

// IsEmpty reports whether no GTID is in the set.
func (s *GTIDSet) IsEmpty() bool { return s == nil || len(s.runs) == 0 && len(s.domains) == 0 }

// Add puts g into the set; the zero GTID is ignored. On MariaDB a number that
// is not above the last of its domain is in the set already. Adding the next
// number of the source that was added to last takes constant time.
func (s *GTIDSet) Add(g GTID) {
	switch {
	case g.IsZero():
	case s.flavor == MariaDB:
		s.addDomain(g)
	default:
		s.run(g.SID, g.Tag).add(gtidSpan{g.N, g.N + 1})
	}
}

func (s *GTIDSet) addDomain(g GTID) {
	i, ok := s.domain(g.Domain)
	if !ok {
		s.domains = slices.Insert(s.domains, i, g)
	} else if g.N > s.domains[i].N {
		s.domains[i] = g
	}
}

// Contains reports whether g is in the set. The zero GTID is in every set.
func (s *GTIDSet) Contains(g GTID) bool {
	if g.IsZero() {
		return true
	}
	if s == nil {
		return false
	}
	if s.flavor == MariaDB {
		last, ok := s.Last(g.Domain)
		return ok && g.N <= last.N
	}
	i, ok := s.find(g.SID, g.Tag)
	return ok && s.runs[i].contains(g.N)
}

// Last returns the last GTID of a MariaDB domain.
func (s *GTIDSet) Last(domain uint32) (GTID, bool) {
	if s == nil {
		return GTID{}, false
	}
	i, ok := s.domain(domain)
	if !ok {
		return GTID{}, false
	}
	return s.domains[i], true
}

// Clone returns a copy that shares nothing with s; nil of nil.
func (s *GTIDSet) Clone() *GTIDSet {
	if s == nil {
		return nil
	}
	c := &GTIDSet{flavor: s.flavor, last: s.last, domains: slices.Clone(s.domains), runs: slices.Clone(s.runs)}
	for i := range c.runs {
		c.runs[i].spans = slices.Clone(c.runs[i].spans)
	}
	return c
}

// Equal reports whether both sets hold the same GTIDs. On MariaDB the server
// part of the last GTID of each domain counts too.
func (s *GTIDSet) Equal(o *GTIDSet) bool {
	if s.IsEmpty() || o.IsEmpty() {
		return s.IsEmpty() && o.IsEmpty()
	}
	return slices.Equal(s.domains, o.domains) && slices.EqualFunc(s.runs, o.runs, gtidRun.equal)
}

// run returns the run of a source id and tag, a new one when there is none;
// the caller adds to it.
func (s *GTIDSet) run(sid [16]byte, tag string) *gtidRun {
	if s.last < len(s.runs) {
		if r := &s.runs[s.last]; r.sid == sid && r.tag == tag {
			return r
		}
	}
	i, ok := s.find(sid, tag)
	if !ok {
		s.runs = slices.Insert(s.runs, i, gtidRun{sid: sid, tag: tag})
	}
	s.last = i
	return &s.runs[i]
}

func (s *GTIDSet) find(sid [16]byte, tag string) (int, bool) {
	return slices.BinarySearchFunc(s.runs, gtidRun{sid: sid, tag: tag}, gtidRun.compare)
}

func (s *GTIDSet) domain(d uint32) (int, bool) {
	return slices.BinarySearchFunc(s.domains, d, func(g GTID, d uint32) int { return cmp.Compare(g.Domain, d) })
}

func (r gtidRun) compare(o gtidRun) int {
	return cmp.Or(bytes.Compare(r.sid[:], o.sid[:]), strings.Compare(r.tag, o.tag))
}

func (r gtidRun) equal(o gtidRun) bool {
	return r.compare(o) == 0 && slices.Equal(r.spans, o.spans)
}

// add merges n into the spans; numbers mostly come in order.
func (r *gtidRun) add(n gtidSpan) {
	if k := len(r.spans); k > 0 && r.spans[k-1].end == n.first {
		r.spans[k-1].end = n.end
		return
	}
	from := r.firstEndingAt(n.first)
	to := from
	for to < len(r.spans) && r.spans[to].first <= n.end {
		n.first = min(n.first, r.spans[to].first)
		n.end = max(n.end, r.spans[to].end)
		to++
	}
	r.spans = slices.Replace(r.spans, from, to, n)
}

func (r *gtidRun) contains(n uint64) bool {
	i := r.firstEndingAt(n + 1)
	return i < len(r.spans) && r.spans[i].first <= n
}

// firstEndingAt is the index of the first span whose end is at least end.
func (r *gtidRun) firstEndingAt(end uint64) int {
	i, _ := slices.BinarySearchFunc(r.spans, end, func(s gtidSpan, end uint64) int { return cmp.Compare(s.end, end) })
	return i
}
