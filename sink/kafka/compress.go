package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression is the codec of record batches; its number is the one of the
// batch attributes.
type Compression uint8

// The codecs.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var compressionNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// String is the name of the codec as the configuration has it.
func (c Compression) String() string { return compressionNames[c] }

// MarshalText writes String.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Compression) UnmarshalText(text []byte) error {
	for i, n := range compressionNames {
		if n == string(text) {
			*c = Compression(i)
			return nil
		}
	}
	return fmt.Errorf("must be none, lz4, zstd, gzip or snappy, not %q", text)
}

// compressor appends the compressed form of src to dst. It keeps its tables
// between batches and serves one goroutine.
type compressor func(dst, src []byte) ([]byte, error)

func newCompressor(c Compression) compressor {
	switch c {
	case LZ4:
		return newLZ4()
	case Zstd:
		return newZstd()
	case Gzip:
		return newGzip()
	case Snappy:
		return newSnappy()
	}
	return func(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }
}

// An LZ4 frame as Java's reader takes it: independent blocks of 64 KiB, no
// checksums, no content size. The third byte is the checksum of the first two.
var lz4Frame = []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82}

const (
	lz4Block        = 64 << 10
	lz4Uncompressed = 1 << 31
)

func newLZ4() compressor {
	c := new(lz4.Compressor)
	return func(dst, src []byte) ([]byte, error) {
		dst = append(dst, lz4Frame...)
		for len(src) > 0 {
			block := src[:min(len(src), lz4Block)]
			src = src[len(block):]
			var err error
			if dst, err = appendLZ4Block(dst, block, c); err != nil {
				return nil, err
			}
		}
		return append(dst, 0, 0, 0, 0), nil
	}
}

func appendLZ4Block(dst, block []byte, c *lz4.Compressor) ([]byte, error) {
	at := len(dst)
	dst = grow(dst, 4+lz4.CompressBlockBound(len(block)))
	n, err := c.CompressBlock(block, dst[at+4:cap(dst)])
	if err != nil {
		return nil, err
	}
	if n == 0 || n >= len(block) {
		dst = append(dst[:at+4], block...)
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(block))|lz4Uncompressed)
		return dst, nil
	}
	binary.LittleEndian.PutUint32(dst[at:at+4], uint32(n))
	return dst[:at+4+n], nil
}

func newZstd() compressor {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	return func(dst, src []byte) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		return enc.EncodeAll(src, dst), nil
	}
}

func newGzip() compressor {
	var w *gzip.Writer
	return func(dst, src []byte) ([]byte, error) {
		buf := bytes.NewBuffer(dst)
		if w == nil {
			w = gzip.NewWriter(buf)
		} else {
			w.Reset(buf)
		}
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		err := w.Close()
		return buf.Bytes(), err
	}
}

// The frame that Java's snappy streams write: a magic, two versions, then
// blocks with their length before them.
var snappyFrame = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

const snappyBlock = 32 << 10

func newSnappy() compressor {
	return func(dst, src []byte) ([]byte, error) {
		dst = append(dst, snappyFrame...)
		for len(src) > 0 {
			block := src[:min(len(src), snappyBlock)]
			src = src[len(block):]
			at := len(dst)
			dst = grow(dst, 4+snappy.MaxEncodedLen(len(block)))
			n := len(snappy.Encode(dst[at+4:cap(dst)], block))
			binary.BigEndian.PutUint32(dst[at:at+4], uint32(n))
			dst = dst[:at+4+n]
		}
		return dst, nil
	}
}

// grow returns dst with room for n more bytes and the next four of them in its length.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		more := max(n, cap(dst)/4, min(cap(dst), largeUnit)) // doubling a large one would waste half of it
		bigger := make([]byte, len(dst), len(dst)+more)
		copy(bigger, dst)
		dst = bigger
	}
	return dst[:len(dst)+4]
}
