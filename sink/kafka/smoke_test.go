package kafka

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/sink"
)

func TestSmoke(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:19392"}
	cfg.Pipeline = fmt.Sprintf("p%d", time.Now().UnixNano())
	if d := os.Getenv("DELIVERY"); d != "" {
		cfg.Delivery = d
	}
	cfg.CreateTopics.Partitions = 3
	s := New(cfg, Options{Observer: Observer{Retry: func(r Retry) { t.Logf("%+v", r) }}})
	ctx := context.Background()
	cp, err := s.Connect(ctx, 1, checkpoint.Checkpoint{})
	if err != nil {
		t.Fatal(err)
	}
	if !cp.IsZero() {
		t.Fatal(cp)
	}
	if err := s.Begin(ctx, checkpoint.Checkpoint{Pipeline: cfg.Pipeline, Position: event.Position{Flavor: event.MySQL}}); err != nil {
		t.Fatal(err)
	}
	routes := &format.Routes{}
	rt := routes.Topic("t." + cfg.Pipeline)
	p := s.Packer()
	var wg sync.WaitGroup
	var lat []time.Duration
	for i := uint64(1); i <= 500; i++ {
		tx := eventtest.Tx(i)
		tx.Rows = 2
		piece := &event.Piece{Tx: tx, First: true, Last: true}
		p.Start(piece)
		for j := uint64(1); j <= 2; j++ {
			if err := p.Emit(&format.Record{Route: rt, Key: fmt.Append(nil, "k", i, j), Value: []byte("hello world"), Millis: tx.Commit.UnixMilli(), Ordinal: j}); err != nil {
				t.Fatal(err)
			}
		}
		u, err := p.Pack()
		if err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		began := time.Now()
		s.Send(ctx, sink.Batch{Packed: u, Ends: []event.Coord{tx.End}, Records: 2, Bytes: u.Bytes()}, true, func(a sink.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
			lat = append(lat, time.Since(began))
			wg.Done()
		})
		wg.Wait()
	}
	sum := time.Duration(0)
	for _, d := range lat {
		sum += d
	}
	t.Log(sum/time.Duration(len(lat)), lat[0], lat[len(lat)/2])
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s = New(cfg, Options{})
	cp, err = s.Connect(ctx, 2, checkpoint.Checkpoint{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", cp)
	s.Close(ctx)
}
