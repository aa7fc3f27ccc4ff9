package binlog

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/cdcd-io/cdcd/resilience"
)

const opPayload = "read transaction payload"

// Payload is the head of a TRANSACTION_PAYLOAD event: a whole transaction,
// compressed.
type Payload struct {
	Size         uint64 // bytes of the compressed events that follow the head
	Uncompressed uint64 // bytes they inflate to
	Compression  uint64
}

const (
	compressionZstd = 0
	compressionNone = 255
)

// MaxPayloadHead is the most bytes the head of a payload event takes.
const MaxPayloadHead = 64

// ParsePayload reads the head from the start of a payload event's body, of
// which only the first MaxPayloadHead bytes need be there. It returns how many
// bytes the head has.
func ParsePayload(body []byte) (p Payload, n int, err error) {
	c := cursor{b: body}
	for {
		field := c.lenenc()
		if c.bad {
			return p, 0, malformed(opPayload, "truncated head")
		}
		if field == 0 {
			return p, len(body) - len(c.b), nil
		}
		v := cursor{b: c.take(c.lenenc())}
		switch field {
		case 1:
			p.Size = v.lenenc()
		case 2:
			p.Compression = v.lenenc()
		case 3:
			p.Uncompressed = v.lenenc()
		}
		if v.bad {
			return p, 0, malformed(opPayload, "field %d", field)
		}
	}
}

// maxPayloadWindow bounds the window of a compressed transaction: enough for
// the server's compression levels up to 19, the default being 3.
const maxPayloadWindow = 16 << 20

// PayloadReader inflates a compressed transaction as a stream and yields its
// events one by one. It reuses its memory: what it returns is valid until the
// next call. It serves one goroutine and starts none.
type PayloadReader struct {
	max    int
	zstd   *zstd.Decoder
	source payloadSource
	r      io.Reader // zstd, or source where nothing is compressed
	header Header
	raw    [HeaderSize]byte
	body   []byte // what was read of the current event's body
	left   int    // what was not
}

// NewPayloadReader returns a reader that refuses events of more than max bytes.
func NewPayloadReader(max int) (*PayloadReader, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxPayloadWindow))
	if err != nil {
		return nil, resilience.Errorf(resilience.Fatal, CodeCompression, opPayload, "%w", err)
	}
	return &PayloadReader{max: max, zstd: z}, nil
}

// Reset starts to read the events of p, whose bytes after the head come from r.
func (p *PayloadReader) Reset(head Payload, r io.Reader) error {
	p.left, p.body = 0, p.body[:0]
	p.source = payloadSource{r: r}
	switch head.Compression {
	case compressionZstd:
		if err := p.zstd.Reset(&p.source); err != nil {
			return p.fault(err)
		}
		p.r = p.zstd
	case compressionNone:
		p.r = &p.source
	default:
		return resilience.Errorf(resilience.Fatal, CodeCompression, opPayload, "algorithm %d", head.Compression)
	}
	return nil
}

// Next goes to the next event and returns its header, io.EOF after the last.
// What was not read of the event before is skipped without being kept.
func (p *PayloadReader) Next() (Header, error) {
	if err := p.skip(); err != nil {
		return Header{}, err
	}
	n, err := io.ReadFull(p.r, p.raw[:])
	if err == io.EOF && n == 0 {
		return Header{}, io.EOF
	}
	if err != nil {
		return Header{}, p.fault(err)
	}
	c := cursor{b: p.raw[:]}
	p.header = Header{Time: c.u32(), Type: EventType(c.u8()), ServerID: c.u32(), Size: c.u32(), End: c.u32(), Flags: c.u16()}
	if p.header.Size < HeaderSize {
		return Header{}, malformed(opPayload, "%s event says it has %d bytes", p.header.Type, p.header.Size)
	}
	p.body, p.left = p.body[:0], int(p.header.Size)-HeaderSize
	return p.header, nil
}

// Prefix returns the first n bytes of the event's body, fewer where it is shorter.
func (p *PayloadReader) Prefix(n int) ([]byte, error) {
	if err := p.read(min(n-len(p.body), p.left)); err != nil {
		return nil, err
	}
	return p.body[:min(n, len(p.body))], nil
}

// Body returns the event's body. Inside a payload events have no checksum.
func (p *PayloadReader) Body() ([]byte, error) {
	if size := len(p.body) + p.left; size > p.max {
		return nil, tooLarge(opPayload, uint64(size), p.max)
	}
	err := p.read(p.left)
	return p.body, err
}

// Close frees the memory of the reader.
func (p *PayloadReader) Close() { p.zstd.Close() }

// read appends n more bytes to body, in steps, so that memory follows what is
// really there.
func (p *PayloadReader) read(n int) error {
	const chunk = 1 << 20
	for n > 0 {
		step := min(n, chunk)
		from := len(p.body)
		p.body = grow(p.body, step)
		if _, err := io.ReadFull(p.r, p.body[from:]); err != nil {
			p.body = p.body[:from]
			return p.fault(err)
		}
		p.left -= step
		n -= step
	}
	return nil
}

// skip passes over what is left of the current event.
func (p *PayloadReader) skip() error {
	for p.left > 0 {
		p.body = p.body[:0]
		if err := p.read(min(p.left, 64<<10)); err != nil {
			return err
		}
	}
	return nil
}

// payloadSource remembers an error of the reader below: it is not the payload
// that is wrong then.
type payloadSource struct {
	r   io.Reader
	err error
}

func (s *payloadSource) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fault tells what is wrong with the stream.
func (p *PayloadReader) fault(err error) error {
	if p.source.err != nil {
		return p.source.err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return resilience.Errorf(resilience.Fatal, CodePayloadWindow, opPayload, "%w", err).
			WithHint("set binlog_transaction_compression_level_zstd to 19 or less on the source")
	}
	return malformed(opPayload, "%w", err)
}
