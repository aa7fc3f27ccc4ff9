package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// load writes the reference binlog, after sysbench's tables: rows inserted in
// bulk, then small transactions of four statements (two updates, a delete, an
// insert).
type load struct {
	addr, user, password string
	bulkRows, smallTx    int
}

const bulkRowsPerInsert = 2000

func (l load) run(ctx context.Context) error {
	conn, err := l.connect(ctx, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range []string{
		"CREATE DATABASE IF NOT EXISTS sbtest", "DROP TABLE IF EXISTS sbtest.sbtest1",
		"CREATE TABLE sbtest.sbtest1 (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id))",
	} {
		if _, err := conn.Execute(q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	if err := l.parallel(ctx, 4, (l.bulkRows+bulkRowsPerInsert-1)/bulkRowsPerInsert, l.bulk); err != nil {
		return err
	}
	return l.parallel(ctx, 8, l.smallTx, l.small)
}

func (l load) connect(ctx context.Context, db string) (*client.Conn, error) {
	return client.ConnectWithContext(ctx, l.addr, l.user, l.password, db, 10*time.Second, func(c *client.Conn) error {
		return c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS)
	})
}

// parallel runs do for 0 to n-1 on several connections.
func (l load) parallel(ctx context.Context, conns, n int, do func(*client.Conn, *rand.Rand, int) error) error {
	var next atomic.Int64
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for w := range conns {
		wg.Go(func() {
			conn, err := l.connect(ctx, "sbtest")
			if err != nil {
				errs[w] = err
				return
			}
			defer conn.Close()
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = do(conn, rnd, i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l load) bulk(conn *client.Conn, rnd *rand.Rand, i int) error {
	var b strings.Builder
	b.WriteString("INSERT INTO sbtest1 VALUES ")
	first := i * bulkRowsPerInsert
	for id := first; id < min(first+bulkRowsPerInsert, l.bulkRows); id++ {
		if id > first {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "(%d,%d,'%s','%s')", id+1, rnd.IntN(l.bulkRows), digits(rnd, 10), digits(rnd, 5))
	}
	_, err := conn.Execute(b.String())
	return err
}

func (l load) small(conn *client.Conn, rnd *rand.Rand, i int) error {
	id := func() int { return 1 + rnd.IntN(l.bulkRows) }
	gone := id()
	q := fmt.Sprintf("BEGIN;UPDATE sbtest1 SET k=k+1 WHERE id=%d;UPDATE sbtest1 SET c='%s' WHERE id=%d;DELETE FROM sbtest1 WHERE id=%d;REPLACE INTO sbtest1 VALUES (%d,%d,'%s','%s');COMMIT",
		id(), digits(rnd, 10), id(), gone, gone, rnd.IntN(l.bulkRows), digits(rnd, 10), digits(rnd, 5))
	for try := 0; ; try++ {
		_, err := conn.ExecuteMultiple(q, func(*mysql.Result, error) {})
		if err == nil || try == 10 || !mysql.ErrorEqual(err, mysql.NewDefaultError(mysql.ER_LOCK_DEADLOCK)) && !strings.Contains(err.Error(), "Deadlock") {
			return err
		}
	}
}

// digits is sysbench's filler: groups of eleven digits.
func digits(rnd *rand.Rand, groups int) string {
	b := make([]byte, 0, groups*12)
	for g := range groups {
		if g > 0 {
			b = append(b, '-')
		}
		for range 11 {
			b = append(b, byte('0'+rnd.IntN(10)))
		}
	}
	return string(b)
}
