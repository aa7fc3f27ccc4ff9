package event

import "slices"

// ContainsSet reports whether every GTID of o is in s.
func (s *GTIDSet) ContainsSet(o *GTIDSet) bool { return o.Subtract(s).IsEmpty() }

// Subtract returns a new set with the GTIDs of s that are not in o. On MariaDB
// it holds the last GTID of each domain in which s is ahead of o.
func (s *GTIDSet) Subtract(o *GTIDSet) *GTIDSet {
	d := NewGTIDSet(s.Flavor())
	if s == nil {
		return d
	}
	for _, g := range s.domains {
		if !o.Contains(g) {
			d.domains = append(d.domains, g)
		}
	}
	for _, r := range s.runs {
		if rest := o.spansOf(r).subtractFrom(r.spans); len(rest) > 0 {
			d.runs = append(d.runs, gtidRun{sid: r.sid, tag: r.tag, spans: rest})
		}
	}
	return d
}

// AddSet puts every GTID of o into s.
func (s *GTIDSet) AddSet(o *GTIDSet) {
	if o == nil {
		return
	}
	for _, g := range o.domains {
		s.Add(g)
	}
	for _, r := range o.runs {
		run := s.run(r.sid, r.tag)
		for _, sp := range r.spans {
			run.add(sp)
		}
	}
}

type gtidSpans []gtidSpan

func (s *GTIDSet) spansOf(r gtidRun) gtidSpans {
	if s == nil {
		return nil
	}
	i, ok := s.find(r.sid, r.tag)
	if !ok {
		return nil
	}
	return s.runs[i].spans
}

// subtractFrom returns from without the numbers of s, in new memory. Both are
// sorted, so one pass does.
func (s gtidSpans) subtractFrom(from []gtidSpan) []gtidSpan {
	if len(s) == 0 {
		return slices.Clone(from)
	}
	var rest []gtidSpan
	for _, f := range from {
		for len(s) > 0 && s[0].end <= f.first {
			s = s[1:]
		}
		for i := 0; i < len(s) && s[i].first < f.end; i++ {
			if f.first < s[i].first {
				rest = append(rest, gtidSpan{f.first, s[i].first})
			}
			f.first = s[i].end
		}
		if f.first < f.end {
			rest = append(rest, f)
		}
	}
	return rest
}
