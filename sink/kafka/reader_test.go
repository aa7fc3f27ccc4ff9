package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
)

// reading: a Reader sees what the Java consumer sees, and not what was aborted;
// it disturbs nobody.
func reading(t *testing.T, b *realBroker) {
	ctx := testContext(t)
	r := newRig(t, b, nil)
	r.deliver(20, 5)
	open, err := r.pack(21)
	if err != nil {
		t.Fatal(err)
	}
	open.Open, open.Ends = true, nil
	told := make(chan error, 1)
	r.sink.Send(ctx, open, true, func(_ sink.Ack, err error) { told <- err })
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	reader, err := NewReader(r.cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	waits := r.readingOn(ctx, t)
	r.reopen() // which aborts it
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	r.deliver(40, 5)
	want, err := b.Consume(ctx, testenv.ConsumeOptions{Topics: r.topics})
	if err != nil {
		t.Fatal(err)
	}
	var got, consumed []string
	behind := int64(0)
	for _, topic := range r.topics {
		extents, err := reader.Extents(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		for part, x := range extents {
			behind += x.End - x.First
			middle := (x.First + x.End) / 2 // the second read begins inside a batch
			for _, span := range []Extent{{x.First, middle}, {middle, x.End}} {
				err := reader.Read(ctx, topic, int32(part), span.First, span.End, func(m *Message) error {
					got = append(got, fmt.Sprintf("%s/%d@%d %q %q", topic, m.Partition, m.Offset, m.Key, m.Value))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, rec := range want {
		consumed = append(consumed, fmt.Sprintf("%s/%d@%d %q %q", rec.Topic, rec.Partition, rec.Offset, rec.Key, rec.Value))
	}
	slices.Sort(got)
	slices.Sort(consumed)
	if !slices.Equal(got, consumed) || len(got) == 0 {
		t.Errorf("%d records read, %d consumed", len(got), len(consumed))
	}
	cp, err := reader.Checkpoint(ctx)
	if err != nil || cp.Position.Seq != 40 {
		t.Errorf("position %d, %v", cp.Position.Seq, err)
	}
	if none, err := reader.Extents(ctx, r.topics[0]+".none"); err != nil || len(none) != 0 {
		t.Errorf("of no topic: %v, %v", none, err)
	}
	r.deliver(50, 5)
	r.check(50)
	if len(r.errs) > 0 {
		t.Errorf("the sink was disturbed: %v", r.errs)
	}
	t.Logf("%d offsets, %d records", behind, len(got))
}

// readingOn reads the topics up to their ends, which are undecided, with a Reader
// of its own, and tells when it has.
func (r *rig) readingOn(ctx context.Context, t *testing.T) <-chan error {
	t.Helper()
	reader, err := NewReader(r.cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ends [][]Extent
	undecided := false
	for _, topic := range r.topics {
		list, err := reader.Extents(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, list)
		for part, x := range list {
			p := partitionReader{c: reader.cluster, topic: topic, part: int32(part)}
			stable, err := p.offset(ctx, readCommitted)
			if err != nil {
				t.Fatal(err)
			}
			undecided = undecided || stable < x.End
		}
	}
	if !undecided {
		t.Error("nothing is undecided")
	}
	done := make(chan error, 1)
	go func() {
		defer reader.Close()
		for i, topic := range r.topics {
			for part, x := range ends[i] {
				if err := reader.Read(ctx, topic, int32(part), x.First, x.End, func(*Message) error { return nil }); err != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	return done
}
