package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// goMySQL reads the whole log with go-mysql's syncer, raw or decoded, up to the
// end position it was given. It is the yardstick.
func goMySQL(ctx context.Context, t target, decode bool) (counts, error) {
	var c counts
	done := make(chan struct{})
	end := mysql.Position{Name: t.EndFile, Pos: uint32(t.EndOffset)}
	file := t.StartFile
	cfg := replication.BinlogSyncerConfig{
		ServerID: 4242, Flavor: t.Flavor, Host: t.Host, Port: t.Port, User: t.User, Password: t.Password,
		RawModeEnabled: !decode, VerifyChecksum: true, DiscardGTIDSet: true, Logger: slog.New(slog.DiscardHandler),
		SynchronousEventHandler: handler(func(e *replication.BinlogEvent) error {
			c.Bytes += int64(e.Header.EventSize)
			switch ev := e.Event.(type) {
			case *replication.RotateEvent:
				file = string(ev.NextLogName)
			case *replication.RowsEvent:
				c.Rows += int64(len(ev.Rows))
			}
			if file == end.Name && e.Header.LogPos >= end.Pos {
				select {
				case <-done:
				default:
					close(done)
				}
			}
			return nil
		}),
	}
	s := replication.NewBinlogSyncer(cfg)
	defer s.Close()
	if _, err := s.StartSync(mysql.Position{Name: t.StartFile, Pos: uint32(t.StartOffset)}); err != nil {
		return c, fmt.Errorf("go-mysql: start: %w", err)
	}
	select {
	case <-done:
		return c, nil
	case <-ctx.Done():
		return c, ctx.Err()
	}
}

type handler func(*replication.BinlogEvent) error

func (h handler) HandleEvent(e *replication.BinlogEvent) error { return h(e) }
