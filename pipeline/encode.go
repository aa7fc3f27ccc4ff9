package pipeline

import (
	"context"
	"time"

	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/internal/failpoint"
	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// encode is one worker: it renders and packs units until there are no more. An
// error travels with the unit, so that everything before it still leaves.
func (l *line) encode(ctx context.Context, s *stage) error {
	defer s.is(finished)
	enc, packer := l.newEncoder(), l.p.deps.Sink.Packer()
	for {
		s.is(idle)
		select {
		case u, ok := <-l.work:
			if !ok {
				return nil
			}
			s.is(working)
			l.render(u, enc, packer)
			s.beat()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *line) render(u *unit, enc format.Encoder, packer sink.Packer) {
	began := time.Now()
	l.pack(u, enc, packer)
	for _, p := range u.pieces {
		p.Release()
	}
	failpoint.Hit("encode.unit")
	if u.err == nil {
		l.out.adjust(int64(u.packed.Bytes()) - u.reserved)
		u.reserved = int64(u.packed.Bytes())
	}
	if o := l.p.deps.Observer.UnitEncoded; o != nil {
		o(u.stats(), time.Since(began))
	}
	u.done <- struct{}{}
}

// pack renders and packs the unit. Rows that make a decoder or a format panic
// would do so at every start: they stop their pipeline, not the process and the
// other pipelines with it. Encoder and packer are the worker's own, and the line
// ends with this unit.
func (l *line) pack(u *unit, enc format.Encoder, packer sink.Packer) {
	defer func() {
		if v := recover(); v != nil {
			l.p.logPanic("encode", v)
			u.err = resilience.Errorf(resilience.Fatal, "encode_panic", "encode rows", "panic: %v", v).WithPlace("%s", u.place()).
				WithHint("this is a bug: report it with the stack in the log; to go on, exclude the table meanwhile")
		}
	}()
	u.err = renderPieces(u, enc, packer)
	packed, err := packer.Pack()
	if u.err == nil {
		u.packed, u.err = packed, err
	}
}

func renderPieces(u *unit, enc format.Encoder, packer sink.Packer) error {
	for _, p := range u.pieces {
		failpoint.Hit("encode.piece")
		packer.Start(p)
		if err := enc.Encode(p, packer); err != nil {
			return err
		}
	}
	if !u.heartbeat {
		return nil
	}
	packer.Start(nil)
	return enc.Heartbeat(time.Now().UnixMilli(), packer)
}
