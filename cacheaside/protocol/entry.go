package protocol

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
)

// Kind is what an entry holds: its first byte.
type Kind byte

// The kinds. Absent is a key that does not exist, Unknown one that somebody
// else wrote, or a newer release.
const (
	Absent   Kind = 0
	Value    Kind = 'V'
	Negative Kind = 'N' // the database has no such row
	Lease    Kind = 'L'
	HoldOff  Kind = 'T' // a write is under way, or was: read, but do not fill
	Unknown  Kind = '?'
)

// Lengths in an entry, in bytes.
const (
	TokenLen   = 22 // 128 random bits in base64url
	versionLen = 20
	millisLen  = 13
)

// NoVersion is the version of an entry whose writer knows none.
const NoVersion = "00000000000000000000"

// Flags say which optional fields an entry has.
const (
	flagGeneration = 1
	flagMillis     = 2
	flagsKnown     = flagGeneration | flagMillis
)

// Entry is what the value of a key means.
type Entry struct {
	Kind       Kind
	Token      string // of a Lease
	Version    string // of a Value, Negative or HoldOff: 20 digits
	Generation string // of a Value or Negative made under one, TokenLen bytes; else ""
	Millis     int64  // when its lease was taken, by the clock of Redis; 0 where not known
	Payload    string // of a Value
}

// NewToken returns 128 random bits as text. Tokens are never used again: a
// lease is told from every other one by it, a generation too.
func NewToken() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Parse reads the value of a key, "" for one that does not exist.
func Parse(raw string) Entry {
	if raw == "" {
		return Entry{}
	}
	e := Entry{Kind: Kind(raw[0])}
	switch e.Kind {
	case Lease:
		e.Token = raw[1:]
	case HoldOff:
		e.Version = raw[1:]
		if len(e.Version) != versionLen {
			return Entry{Kind: Unknown}
		}
	case Value, Negative:
		return e.parseHead(raw)
	default:
		return Entry{Kind: Unknown}
	}
	return e
}

// parseHead reads version, flags, generation, time and payload.
func (e Entry) parseHead(raw string) Entry {
	const head = 1 + versionLen + 1
	if len(raw) < head {
		return Entry{Kind: Unknown}
	}
	flags := raw[head-1] - '0'
	e.Version, raw = raw[1:1+versionLen], raw[head:]
	if flags > flagsKnown {
		return Entry{Kind: Unknown}
	}
	if flags&flagGeneration != 0 {
		if len(raw) < TokenLen {
			return Entry{Kind: Unknown}
		}
		e.Generation, raw = raw[:TokenLen], raw[TokenLen:]
	}
	if flags&flagMillis != 0 {
		if len(raw) < millisLen {
			return Entry{Kind: Unknown}
		}
		n, err := strconv.ParseUint(raw[:millisLen], 10, 63)
		if err != nil {
			return Entry{Kind: Unknown}
		}
		e.Millis, raw = int64(n), raw[millisLen:]
	}
	e.Payload = raw
	if e.Kind == Negative && raw != "" {
		return Entry{Kind: Unknown}
	}
	return e
}

// String is the value of the key.
func (e Entry) String() string {
	switch e.Kind {
	case Lease:
		return string(Lease) + e.Token
	case HoldOff:
		return string(HoldOff) + e.version()
	case Value, Negative:
		return string(e.appendHead(make([]byte, 0, 64+len(e.Payload)))) + e.Payload
	}
	return ""
}

func (e Entry) appendHead(b []byte) []byte {
	b = append(append(b, byte(e.Kind)), e.version()...)
	flags := byte('0')
	if e.Generation != "" {
		flags += flagGeneration
	}
	if e.Millis > 0 {
		flags += flagMillis
	}
	b = append(append(b, flags), e.Generation...)
	if e.Millis > 0 {
		digits := strconv.FormatInt(e.Millis, 10)
		for range millisLen - len(digits) {
			b = append(b, '0')
		}
		b = append(b, digits...)
	}
	return b
}

func (e Entry) version() string {
	if e.Version == "" {
		return NoVersion
	}
	return e.Version
}

// Answers reports whether the entry answers a read under the generation: "" for
// keys whose tables have none.
func (e Entry) Answers(generation string) bool {
	return (e.Kind == Value || e.Kind == Negative) && e.Generation == generation
}
