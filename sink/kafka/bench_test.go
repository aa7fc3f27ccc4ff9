package kafka

import (
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/sink"
)

// BenchmarkCycle is the life of one small transaction on an idle line: from
// Send to its done.
func BenchmarkCycle(b *testing.B) {
	for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
		b.Run(delivery, func(b *testing.B) {
			r := benchRig(b, delivery)
			r.rows = func(uint64) int { return 2 }
			told := make(chan error, 1)
			for seq := uint64(1); b.Loop(); seq++ {
				batch, err := r.pack(seq)
				if err != nil {
					b.Fatal(err)
				}
				r.sink.Send(b.Context(), batch, true, func(_ sink.Ack, err error) { told <- err })
				if err := <-told; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBulk packs and delivers units of 2000 rows as fast as it goes.
func BenchmarkBulk(b *testing.B) {
	for _, delivery := range []string{ExactlyOnce, AtLeastOnce} {
		b.Run(delivery, func(b *testing.B) {
			r := benchRig(b, delivery)
			rows := packRows(r.packer.(*packer), r.routes.Topic(r.topics[0]), time.Now().UnixMilli())
			told := make(chan error, 1000)
			began, sent, done := time.Now(), 0, 0
			take := func() {
				if err := <-told; err != nil {
					b.Fatal(err)
				}
				done++
			}
			for b.Loop() {
				rows(b)
				p, err := r.packer.Pack()
				if err != nil {
					b.Fatal(err)
				}
				sent++
				r.sink.Send(b.Context(), sink.Batch{Packed: p, Ends: []event.Coord{eventtest.Tx(uint64(sent)).End}}, false, func(_ sink.Ack, err error) { told <- err })
				for len(told) > 0 {
					take()
				}
			}
			for done < sent {
				take()
			}
			b.ReportMetric(float64(sent*workRecords)/time.Since(began).Seconds(), "records/s")
		})
	}
}

func benchRig(b *testing.B, delivery string) *rig {
	r := newRig(b, startBroker(b), func(c *Config) { c.Delivery = delivery })
	r.cfg.Brokers = r.b.DirectAddrs()
	r.mustOpen()
	return r
}
