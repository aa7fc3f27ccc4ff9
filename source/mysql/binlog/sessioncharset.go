package binlog

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// sessionCharsets are the character sets, besides those of values, in which the
// texts of statements are read: those where the table at hand and the servers'
// never disagree on a character. In sjis, big5, gb18030 and others they do.
var sessionCharsets = map[string]encoding.Encoding{
	"cp1250":   charmap.Windows1250,
	"cp1251":   charmap.Windows1251,
	"cp1256":   charmap.Windows1256,
	"cp1257":   charmap.Windows1257,
	"cp850":    charmap.CodePage850,
	"cp852":    charmap.CodePage852,
	"cp932":    japanese.ShiftJIS,
	"euckr":    korean.EUCKR,
	"gbk":      simplifiedchinese.GBK,
	"koi8r":    charmap.KOI8R,
	"latin2":   charmap.ISO8859_2,
	"latin5":   charmap.ISO8859_9,
	"latin7":   charmap.ISO8859_13,
	"macroman": charmap.Macintosh,
}

// Decode turns SQL from the character set of its session to UTF-8 and reports
// whether that changed it. It sets Undecoded where it cannot.
func (q *Query) Decode(charsets Charsets) bool {
	if q.Charset == 0 || isASCII([]byte(q.SQL)) {
		return false
	}
	charset := charsets.name(uint32(q.Charset))
	switch charset {
	case charsetUTF8MB4, charsetUTF8MB3, charsetASCII, charsetBinary:
		return false
	case charsetLatin1:
		q.SQL = string(appendLatin1(nil, []byte(q.SQL)))
		return true
	}
	text, ok := decodeSession(charset, q.SQL)
	if !ok {
		q.Undecoded = charset
		return false
	}
	q.SQL = text
	return true
}

func decodeSession(charset, sql string) (string, bool) {
	from := sessionCharsets[charset]
	if from == nil {
		return "", false
	}
	text, err := from.NewDecoder().String(sql)
	return text, err == nil && !strings.ContainsRune(text, utf8.RuneError)
}
