package binlog

import "encoding/binary"

// cursor reads bytes from the front. A read past the end gives zeros and sets
// bad, so that a parser checks once, at its end or before it loops or allocates.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes. They belong to the event.
func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// uint reads an unsigned little-endian number of n bytes, n from 1 to 8.
func (c *cursor) uint(n uint64) uint64 {
	return littleEndian(c.take(n))
}

func (c *cursor) u8() byte    { return byte(c.uint(1)) }
func (c *cursor) u16() uint16 { return uint16(c.uint(2)) }
func (c *cursor) u32() uint32 { return uint32(c.uint(4)) }
func (c *cursor) u64() uint64 { return c.uint(8) }

// lenenc reads a length-encoded integer of the MySQL protocol.
func (c *cursor) lenenc() uint64 {
	switch first := c.u8(); first {
	case 0xfb, 0xff:
		c.bad = true
		return 0
	case 0xfc:
		return c.uint(2)
	case 0xfd:
		return c.uint(3)
	case 0xfe:
		return c.uint(8)
	default:
		return uint64(first)
	}
}

// short reads a string with a one-byte length.
func (c *cursor) short() []byte { return c.take(uint64(c.u8())) }

// littleEndian is the number in up to 8 bytes.
func littleEndian(b []byte) (v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// bigEndian is the number in up to 8 bytes.
func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func le16(b []byte) uint64 { return uint64(binary.LittleEndian.Uint16(b)) }
func le24(b []byte) uint64 { return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 }
func le32(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
