package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/cdcd-io/cdcd/admin"
	"github.com/cdcd-io/cdcd/internal/config"
	"github.com/cdcd-io/cdcd/resilience"
)

// daemon is every part of a running process.
type daemon struct {
	runners []*runner
	server  *admin.Server
	store   io.Closer // of the checkpoints
	log     *slog.Logger
}

// doors are the listeners of the daemon.
type doors struct {
	socket *admin.Socket
	tcp    net.Listener // nil where none is configured
}

// openDoors listens before anything runs, so that a second daemon on the same
// checkpoints ends before it has touched them.
func openDoors(socket string, c config.Admin) (*doors, error) {
	s, err := admin.ListenSocket(socket)
	if err != nil {
		return nil, err
	}
	d := &doors{socket: s}
	if c.Listen == "" {
		return d, nil
	}
	if d.tcp, err = net.Listen("tcp", c.Listen); err != nil {
		s.Close()
		return nil, (&resilience.Error{Class: resilience.Fatal, Code: "admin_listen", Op: "listen for the admin API", At: c.Listen, Err: err}).
			WithHint("free the address, or set admin.listen to another one")
	}
	return d, nil
}

func (d *doors) close() {
	d.socket.Close()
	if d.tcp != nil {
		d.tcp.Close()
	}
}

// run runs the daemon until a stop, or until no pipeline is left running. The
// goroutines it starts: one a pipeline, one a view of a source's log, one for
// the doors; all have ended when it returns.
func (d *daemon) run(s *stops, dr *doors) error {
	around, endAround := context.WithCancel(context.WithoutCancel(s.hard))
	var beside sync.WaitGroup
	beside.Go(func() { d.serve(around, dr) })
	for _, r := range d.runners {
		beside.Go(func() { r.watchLog(around) })
	}
	err := d.runLines(s)
	endAround()
	beside.Wait()
	return errors.Join(err, d.store.Close())
}

// runLines runs every pipeline, and tells how that ended.
func (d *daemon) runLines(s *stops) error {
	defer s.end()
	ends, noneLeft := context.WithCancel(s.soft)
	defer noneLeft()
	stopped := func() {
		if !d.anyAlive() {
			noneLeft()
		}
	}
	errs := make([]error, len(d.runners))
	var lines sync.WaitGroup
	for i, r := range d.runners {
		lines.Go(func() { errs[i] = r.run(s, ends, stopped) })
	}
	lines.Wait()
	return d.verdict(s, errs)
}

func (d *daemon) serve(ctx context.Context, dr *doors) {
	defer dr.socket.Close()
	var tcp net.Listener
	if dr.tcp != nil {
		tcp = dr.tcp
	}
	if err := d.server.Serve(ctx, dr.socket, tcp); err != nil {
		d.log.Error("the admin API ended", "err", err)
	}
}

// verdict is the error the process ends with.
func (d *daemon) verdict(s *stops, errs []error) error {
	if cause := s.hardCause(); cause != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("stopped before all in hand was delivered: %w", cause),
			hint: "nothing is lost: the next start goes on from the checkpoint"}
	}
	var failed []error
	for i, err := range errs {
		if err != nil {
			failed = append(failed, fmt.Errorf("pipeline %s: %w", d.runners[i].name, err))
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// anyAlive reports whether a pipeline is left that no error has stopped.
func (d *daemon) anyAlive() bool {
	for _, r := range d.runners {
		if r.alive() {
			return true
		}
	}
	return false
}
