package kafka

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/sink"
)

// TestFenceIsToldWhenItIsCertain: brokers that refuse our epoch may have timed a
// transaction of ours out. Until the line has looked who the owner is, nobody
// may hear that it is fenced, or the pipeline would stop for ever.
func TestFenceIsToldWhenItIsCertain(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Installation, cfg.Pipeline = []string{"broker:9092"}, "test", "fence"
	cfg.RequestTimeout, cfg.DialTimeout = time.Minute, time.Minute
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	s := New(cfg, Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		signal(asked)
		<-answer
		return nil, errors.New("the broker is away")
	}})
	l, err := s.newLine()
	if err != nil {
		t.Fatal(err)
	}
	defer l.cluster.close()
	l.m = newMachine(true, cfg.GroupBytes, cfg.GroupDelay, partKey{&topic{name: "ck", leaders: []int32{0}}, 0})
	l.start()
	l.results <- func() error {
		return resilience.Errorf(resilience.Fenced, "producer_fenced", "deliver", "the epoch is refused")
	}
	<-asked // who the owner is
	if err := l.firstError(); err != nil {
		t.Fatalf("before the answer the line ended with %v", err)
	}
	told := make(chan error, 1)
	l.put(t.Context(), &item{unit: &unit{}, done: func(_ sink.Ack, err error) { told <- err }})
	if len(told) > 0 {
		t.Fatalf("before the answer a batch failed with %v", <-told)
	}
	close(answer)
	<-l.ended
	if err := <-told; resilience.ClassOf(err) != resilience.Transient || resilience.CodeOf(err) != "producer_epoch_lost" {
		t.Errorf("in the end the batch failed with %v", err)
	}
}
