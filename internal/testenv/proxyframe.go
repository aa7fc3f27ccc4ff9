package testenv

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// maxFrame bounds what is taken for one message: a length beyond it means that the stream is not what it was said to be.
const maxFrame = 512 << 20

// next reads one message. With an error, Data is what of the message came before it.
func (s *stream) next(in *bufio.Reader) (Message, error) {
	m := Message{APIKey: -1}
	// The protocol is asked for when bytes are there: while we waited, the connection may have turned to TLS.
	if _, err := in.Peek(1); err != nil {
		return m, err
	}
	var err error
	switch {
	case s.link.proxy.protocol == Raw || s.link.opaque.Load():
		m.Data, err = readChunk(in)
	case s.link.proxy.protocol == MySQLProtocol:
		m.Data, err = readFrame(in, func(h []byte) int { return int(h[0]) | int(h[1])<<8 | int(h[2])<<16 })
		if s.dir == ToServer && asksForTLS(m.Data) {
			s.link.opaque.Store(true)
		}
	default:
		m.Data, err = readFrame(in, func(h []byte) int { return int(binary.BigEndian.Uint32(h)) })
		s.link.label(&m, s.dir)
	}
	return m, err
}

func readChunk(in *bufio.Reader) ([]byte, error) {
	data := make([]byte, in.Buffered())
	n, err := in.Read(data)
	return data[:n], err
}

// readFrame reads a message of four bytes of header and as many bytes as length finds there.
func readFrame(in *bufio.Reader, length func(header []byte) int) ([]byte, error) {
	header := make([]byte, 4)
	if n, err := io.ReadFull(in, header); err != nil {
		return header[:n], plainEOF(err)
	}
	size := length(header)
	if size < 0 || size > maxFrame {
		return header, fmt.Errorf("a message of %d bytes", size)
	}
	data := append(make([]byte, 0, 4+size), header...)[:4+size]
	n, err := io.ReadFull(in, data[4:])
	return data[:4+n], plainEOF(err)
}

// plainEOF: a peer that closes in mid-message is passed on as just that.
func plainEOF(err error) error {
	if err == io.ErrUnexpectedEOF {
		return io.EOF
	}
	return err
}

// asksForTLS recognises the short handshake answer after which both sides speak TLS. The server says nothing until then, so
// its stream is at a border when it turns opaque.
func asksForTLS(packet []byte) bool {
	const clientSSL = 0x0800
	return len(packet) == 4+32 && packet[3] == 1 && binary.LittleEndian.Uint32(packet[4:])&clientSSL != 0
}

// label reads the header of a Kafka message.
func (l *link) label(m *Message, dir Direction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case dir == ToServer && len(m.Data) >= 12:
		m.APIKey = int16(binary.BigEndian.Uint16(m.Data[4:]))
		m.APIVersion = int16(binary.BigEndian.Uint16(m.Data[6:]))
		m.CorrelationID = int32(binary.BigEndian.Uint32(m.Data[8:]))
		l.calls[m.CorrelationID] = call{key: m.APIKey, version: m.APIVersion}
	case dir == ToClient && len(m.Data) >= 8:
		m.CorrelationID = int32(binary.BigEndian.Uint32(m.Data[4:]))
		if c, ok := l.calls[m.CorrelationID]; ok {
			m.APIKey, m.APIVersion = c.key, c.version
			delete(l.calls, m.CorrelationID)
		}
	}
}
