package binlog

import (
	"fmt"
	"unicode/utf8"
)

// Charsets tells the character set of each collation id, as
// information_schema lists them. Ids it does not have fall back to those that
// are the same on every server.
type Charsets map[uint32]string

// The character sets that this release reads, by the server's names.
const (
	charsetUTF8MB4 = "utf8mb4"
	charsetUTF8MB3 = "utf8mb3"
	charsetASCII   = "ascii"
	charsetLatin1  = "latin1"
	charsetBinary  = "binary"
)

// knownCollations are the id ranges of those character sets on MySQL up to
// 9.x and, from 576 on, MariaDB up to 11.x.
var knownCollations = []struct {
	first, last uint32
	charset     string
}{
	{5, 5, charsetLatin1}, {8, 8, charsetLatin1}, {11, 11, charsetASCII}, {15, 15, charsetLatin1},
	{31, 31, charsetLatin1}, {33, 33, charsetUTF8MB3}, {45, 46, charsetUTF8MB4}, {47, 49, charsetLatin1},
	{63, 63, charsetBinary}, {65, 65, charsetASCII}, {76, 76, charsetUTF8MB3}, {83, 83, charsetUTF8MB3},
	{94, 94, charsetLatin1}, {192, 215, charsetUTF8MB3}, {223, 223, charsetUTF8MB3}, {224, 247, charsetUTF8MB4},
	{255, 323, charsetUTF8MB4}, {576, 579, charsetUTF8MB3}, {608, 611, charsetUTF8MB4}, {1032, 1032, charsetLatin1},
	{1035, 1035, charsetASCII}, {1057, 1057, charsetUTF8MB3}, {1069, 1070, charsetUTF8MB4}, {1071, 1071, charsetLatin1},
	{1089, 1089, charsetASCII}, {1107, 1107, charsetUTF8MB3}, {1216, 1216, charsetUTF8MB3}, {1238, 1238, charsetUTF8MB3},
	{1248, 1248, charsetUTF8MB4}, {1270, 1270, charsetUTF8MB4}, {2048, 2303, charsetUTF8MB3}, {2304, 2559, charsetUTF8MB4},
}

// name returns the character set of a collation, or a text that names the
// collation where the set is not known.
func (c Charsets) name(id uint32) string {
	switch name := c[id]; name {
	case "":
	case "utf8": // its name before MySQL 8.0.30 and MariaDB 10.6
		return charsetUTF8MB3
	default:
		return name
	}
	for _, k := range knownCollations {
		if id >= k.first && id <= k.last {
			return k.charset
		}
	}
	return fmt.Sprintf("of collation id %d", id)
}

func supportedCharset(name string) bool {
	switch name {
	case charsetUTF8MB4, charsetUTF8MB3, charsetASCII, charsetLatin1, charsetBinary:
		return true
	}
	return false
}

// latin1High are the characters of the bytes 0x80 to 0x9f: the server's
// latin1 is cp1252, with the five bytes that cp1252 leaves open kept as the
// control characters they are in ISO 8859-1.
var latin1High = [32]rune{
	0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f,
	0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178,
}

// appendLatin1 appends b, text in the server's latin1, to dst as UTF-8.
func appendLatin1(dst, b []byte) []byte {
	for _, c := range b {
		switch {
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		case c < 0xa0:
			dst = utf8.AppendRune(dst, latin1High[c-0x80])
		default:
			dst = append(dst, 0xc0|c>>6, 0x80|c&0x3f)
		}
	}
	return dst
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// labelText is an ENUM or SET label, written in charset, as UTF-8.
func labelText(charset, label string) (string, bool) {
	switch charset {
	case charsetLatin1:
		return string(appendLatin1(nil, []byte(label))), true
	case charsetASCII:
		return label, isASCII([]byte(label))
	}
	return label, utf8.ValidString(label)
}

// TextDecoder turns the stored text of one character set into UTF-8, as it is
// done for the rows of the log.
type TextDecoder uint8

// The decoders.
const (
	DecodeUTF8 TextDecoder = iota
	DecodeASCII
	DecodeLatin1
)

// TextDecoderOf returns the decoder of a character set by the server's name;
// ok is false where this release has none.
func TextDecoderOf(charset string) (d TextDecoder, ok bool) {
	switch charset {
	case charsetUTF8MB4, charsetUTF8MB3:
		return DecodeUTF8, true
	case charsetASCII:
		return DecodeASCII, true
	case charsetLatin1:
		return DecodeLatin1, true
	}
	return 0, false
}

// Decode returns b as UTF-8: b itself, or what it has appended to scratch. It
// also returns scratch, grown; ok is false where b is no such text.
func (d TextDecoder) Decode(scratch, b []byte) (text, grown []byte, ok bool) {
	switch d {
	case DecodeASCII:
		return b, scratch, isASCII(b)
	case DecodeLatin1:
		if isASCII(b) {
			return b, scratch, true
		}
		from := len(scratch)
		scratch = appendLatin1(scratch, b)
		return scratch[from:len(scratch):len(scratch)], scratch, true
	}
	return b, scratch, utf8.Valid(b)
}
