package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source/mysql"
)

// servers are what the measurements run between.
type servers struct {
	db    *testenv.MySQL
	kafka *testenv.Kafka
}

func startServers(ctx context.Context, env *testenv.Env, maria bool) (*servers, error) {
	flavor := testenv.MySQL97
	if maria {
		flavor = testenv.MariaDB118
	}
	db, err := env.MySQL(ctx, testenv.MySQLOptions{Flavor: flavor, Config: map[string]string{"max_binlog_size": "1G", "innodb_buffer_pool_size": "1G"}})
	if err != nil {
		return nil, err
	}
	broker, err := env.Kafka(ctx, testenv.KafkaOptions{HeapMB: 1024})
	if err != nil {
		return nil, err
	}
	return &servers{db, broker}, nil
}

// target describes the servers to the processes that measure.
func (s *servers) target(dir string) (target, error) {
	host, port, err := net.SplitHostPort(s.db.Addr())
	if err != nil {
		return target{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, err
	}
	return target{
		Flavor: s.db.Flavor().String(), Host: host, Port: uint16(n), User: testenv.ReaderUser, Password: testenv.ReaderPassword,
		Kafka: s.kafka.Bootstrap(), Dir: dir,
	}, nil
}

// writeLog writes the reference log and notes where it begins and ends.
func (s *servers) writeLog(ctx context.Context, t *target, scale float64) error {
	if err := t.markStart(ctx); err != nil {
		return err
	}
	began := time.Now()
	l := load{addr: s.db.Addr(), user: testenv.RootUser, password: testenv.RootPassword, bulkRows: int(1e6 * scale), smallTx: int(1e5 * scale)}
	if err := l.run(ctx); err != nil {
		return fmt.Errorf("write the reference log: %w", err)
	}
	fmt.Fprintf(os.Stderr, "reference log written in %s\n", time.Since(began).Round(time.Second))
	return t.markEnd(ctx, s.db)
}

func (t *target) addr() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

func (t *target) source() *mysql.Source {
	cfg := mysql.DefaultConfig()
	cfg.Hosts, cfg.User, cfg.Password = []string{t.addr()}, t.User, t.Password
	cfg.Tables.Include = []string{"sbtest.*"}
	return mysql.New(cfg, "bench", "bench")
}

func (t *target) markStart(ctx context.Context) error {
	pos, err := t.source().Start(ctx)
	if err != nil {
		return err
	}
	t.StartFile, t.StartOffset = pos.File.Name, pos.Offset
	t.Checkpoint, err = checkpoint.Encode(checkpoint.Checkpoint{
		Installation: "bench", Pipeline: "bench", Generation: 1, Term: 1, Position: pos, Saved: time.Now(),
	})
	return err
}

// markEnd notes where the log ends, once nobody writes any more.
func (t *target) markEnd(ctx context.Context, db *testenv.MySQL) error {
	rows, err := db.Query(ctx, "SHOW BINARY LOG STATUS")
	if err != nil {
		return err
	}
	pos, err := t.source().Start(ctx)
	if err != nil {
		return err
	}
	t.EndFile, t.EndGTIDs = *rows[0][0], pos.GTIDs.String()
	t.EndOffset, err = strconv.ParseUint(*rows[0][1], 10, 64)
	return err
}
