package event

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What can be wrong with the text of a GTID or of a set; parse errors wrap one
// of these.
var (
	ErrGTIDFlavor   = errors.New("unknown flavor of GTID")
	ErrGTIDSource   = errors.New("source id is not a uuid of 32 hexadecimal digits in groups of 8-4-4-4-12")
	ErrGTIDTag      = errors.New("tag is not a letter or underscore followed by at most 31 letters, digits or underscores")
	ErrGTIDNumber   = errors.New("number is not a decimal number in range")
	ErrGTIDInterval = errors.New("interval ends before it starts")
	ErrGTIDShape    = errors.New("not of the form source:number, source:tag:number or domain-server-number")
	ErrGTIDDomain   = errors.New("domain named twice")
)

// maxGTIDNumber is the highest number MySQL gives out.
const maxGTIDNumber = math.MaxInt64 - 1

// ParseGTID reads the text of one GTID, as GTID.String writes it. The empty
// text is the zero GTID.
func ParseGTID(f Flavor, text string) (GTID, error) {
	if text == "" {
		return GTID{}, nil
	}
	s, err := ParseGTIDSet(f, text)
	if err != nil {
		return GTID{}, err
	}
	if g, ok := s.single(); ok {
		return g, nil
	}
	return GTID{}, fmt.Errorf("GTID %q: %w", text, ErrGTIDShape)
}

// single returns the one GTID of a set written as one GTID.
func (s *GTIDSet) single() (GTID, bool) {
	if len(s.domains) == 1 {
		return s.domains[0], true
	}
	if len(s.runs) != 1 || len(s.runs[0].spans) != 1 {
		return GTID{}, false
	}
	r := s.runs[0]
	return GTID{SID: r.sid, Tag: r.tag, N: r.spans[0].first}, r.spans[0].end == r.spans[0].first+1
}

// ParseGTIDSet reads the text of a set as the server or [GTIDSet.String] writes
// it; white space around its comma-separated items is allowed. Intervals may
// overlap and come in any order. The empty text is the empty set.
func ParseGTIDSet(f Flavor, text string) (*GTIDSet, error) {
	s := NewGTIDSet(f)
	if f != MySQL && f != MariaDB {
		return nil, ErrGTIDFlavor
	}
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	parse := s.parseMySQL
	if f == MariaDB {
		parse = s.parseMariaDB
	}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if err := parse(item); err != nil {
			return nil, fmt.Errorf("GTID set item %q: %w", item, err)
		}
	}
	return s, nil
}

// parseMySQL reads uuid[:tag]:first[-last][:first[-last]]..., where a tag
// holds for the intervals up to the next tag.
func (s *GTIDSet) parseMySQL(item string) error {
	source, rest, ok := strings.Cut(item, ":")
	if !ok {
		return ErrGTIDShape
	}
	sid, err := parseUUID(source)
	if err != nil {
		return err
	}
	tag, counted := "", false
	for part := range strings.SplitSeq(rest, ":") {
		if part != "" && !isDigit(part[0]) {
			if tag, err = parseTag(part); err != nil {
				return err
			}
			counted = false
			continue
		}
		n, err := parseSpan(part)
		if err != nil {
			return err
		}
		s.run(sid, tag).add(n)
		counted = true
	}
	if !counted {
		return ErrGTIDShape
	}
	return nil
}

func parseUUID(t string) (sid [16]byte, err error) {
	if len(t) != 36 || t[8] != '-' || t[13] != '-' || t[18] != '-' || t[23] != '-' {
		return sid, ErrGTIDSource
	}
	digits := t[:8] + t[9:13] + t[14:18] + t[19:23] + t[24:]
	if n, err := hex.Decode(sid[:], []byte(digits)); err != nil || n != len(sid) {
		return sid, ErrGTIDSource
	}
	return sid, nil
}

// parseTag returns the tag in lower case, which is how the server keeps it.
func parseTag(t string) (string, error) {
	if len(t) > 32 {
		return "", ErrGTIDTag
	}
	for i := range len(t) {
		if c := t[i] | 0x20; t[i] != '_' && (c < 'a' || c > 'z') && (i == 0 || !isDigit(t[i])) {
			return "", ErrGTIDTag
		}
	}
	return strings.ToLower(t), nil
}

func parseSpan(t string) (gtidSpan, error) {
	low, high, isRange := strings.Cut(t, "-")
	first, err := parseNumber(low, maxGTIDNumber)
	if err != nil {
		return gtidSpan{}, err
	}
	last := first
	if isRange {
		if last, err = parseNumber(high, maxGTIDNumber); err != nil {
			return gtidSpan{}, err
		}
	}
	if last < first {
		return gtidSpan{}, ErrGTIDInterval
	}
	return gtidSpan{first, last + 1}, nil
}

// parseNumber reads a decimal number from 1 to limit.
func parseNumber(t string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(t, 10, 64)
	if err != nil || n == 0 || n > limit || t[0] == '+' {
		return 0, ErrGTIDNumber
	}
	return n, nil
}

func (s *GTIDSet) parseMariaDB(item string) error {
	parts := strings.Split(item, "-")
	if len(parts) != 3 {
		return ErrGTIDShape
	}
	domain, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return ErrGTIDNumber
	}
	server, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return ErrGTIDNumber
	}
	n, err := parseNumber(parts[2], math.MaxUint64)
	if err != nil {
		return err
	}
	if _, seen := s.domain(uint32(domain)); seen {
		return ErrGTIDDomain
	}
	s.addDomain(GTID{Domain: uint32(domain), Server: uint32(server), N: n})
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// String is the set as its server writes it, on one line: sorted, "" when empty.
func (s *GTIDSet) String() string { return string(s.Append(nil)) }

// Append appends the text of the set to dst.
func (s *GTIDSet) Append(dst []byte) []byte {
	if s == nil {
		return dst
	}
	for i, g := range s.domains {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = g.appendMariaDB(dst)
	}
	for i, r := range s.runs {
		switch {
		case i > 0 && s.runs[i-1].sid == r.sid: // one source id, another tag
		case i > 0:
			dst = appendUUID(append(dst, ','), r.sid)
		default:
			dst = appendUUID(dst, r.sid)
		}
		dst = r.append(dst)
	}
	return dst
}

func (r gtidRun) append(dst []byte) []byte {
	if r.tag != "" {
		dst = append(append(dst, ':'), r.tag...)
	}
	for _, sp := range r.spans {
		dst = strconv.AppendUint(append(dst, ':'), sp.first, 10)
		if sp.end > sp.first+1 {
			dst = strconv.AppendUint(append(dst, '-'), sp.end-1, 10)
		}
	}
	return dst
}

// MarshalText is the text of the set; in JSON the set is a string.
func (s *GTIDSet) MarshalText() ([]byte, error) { return s.Append([]byte{}), nil }

// UnmarshalText reads what MarshalText wrote. A set without a flavor takes it
// from the text: only MySQL's has colons. An empty text says nothing about the
// flavor, so whoever stores sets stores the flavor beside them.
func (s *GTIDSet) UnmarshalText(text []byte) error {
	f := s.flavor
	if f == 0 && len(text) > 0 {
		f = MariaDB
		if strings.ContainsRune(string(text), ':') {
			f = MySQL
		}
	}
	if f == 0 {
		*s = GTIDSet{}
		return nil
	}
	p, err := ParseGTIDSet(f, string(text))
	if err != nil {
		return err
	}
	*s = *p
	return nil
}
