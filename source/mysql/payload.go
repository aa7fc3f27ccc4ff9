package mysql

import (
	"bytes"
	"io"

	"github.com/cdcd-io/cdcd/source/mysql/binlog"
)

// payloadSource is the payload event whose inside is being read, straight from
// the socket where it is large.
type payloadSource struct {
	sum    *summed // of a large event, nil for a small one
	header binlog.Header
	start  uint64
}

// openPayload goes inside a compressed transaction: its events follow one by
// one, inflated as a stream.
func (st *stream) openPayload() error {
	if st.payload == nil {
		var err error
		// The bound on single events is checked by body, which names it better.
		if st.payload, err = binlog.NewPayloadReader(int(st.source.cfg.MaxRowBytes)); err != nil {
			return err
		}
	}
	src := &payloadSource{header: st.cur.header, start: st.cur.start}
	var r io.Reader = bytes.NewReader(st.cur.body)
	if st.cur.kind == large {
		src.sum = st.largeBody()
		r = src.sum
	}
	head, r, err := payloadHead(r)
	if err != nil {
		return err
	}
	st.inside = src
	return st.payload.Reset(head, r)
}

// payloadHead reads the head and returns a reader of what follows it.
func payloadHead(r io.Reader) (binlog.Payload, io.Reader, error) {
	first := make([]byte, binlog.MaxPayloadHead)
	n, err := io.ReadFull(r, first)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return binlog.Payload{}, nil, err
	}
	head, used, err := binlog.ParsePayload(first[:n])
	if err != nil {
		return binlog.Payload{}, nil, err
	}
	body := io.MultiReader(bytes.NewReader(first[used:n]), r)
	return head, io.LimitReader(body, int64(head.Size)), nil
}

// advanceInside goes to the next event of the payload; more is false after the
// last one.
func (st *stream) advanceInside() (more bool, err error) {
	h, err := st.payload.Next()
	if err == io.EOF {
		err = st.closePayload()
		return false, err
	}
	if err != nil {
		return false, err
	}
	st.cur = current{header: h, start: st.inside.start, kind: inner}
	return true, nil
}

// finishPayload makes sure that the events of a payload were what the server
// wrote before one that ends the transaction is believed: nothing may follow
// that event, and the checksum of the whole must be right.
func (st *stream) finishPayload() error {
	if st.inside == nil {
		return nil
	}
	switch _, err := st.payload.Next(); {
	case err == nil:
		return st.unexpected("a compressed transaction goes on after its end")
	case err != io.EOF:
		return err
	}
	return st.closePayload()
}

func (st *stream) closePayload() error {
	src := st.inside
	st.inside = nil
	if src.sum == nil {
		return nil
	}
	return src.sum.verify()
}
