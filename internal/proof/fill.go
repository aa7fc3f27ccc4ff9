package proof

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
)

// fillBatch is the number of rows of one INSERT.
const fillBatch = 2000

// Fill writes so many rows into accounts, those that the writers change among
// them: what a database has before anybody captures it. The table must be empty.
func (w *Workload) Fill(ctx context.Context, rows int) error {
	conn, err := client.ConnectWithContext(ctx, w.Addr, w.User, w.Password, w.Database, connectTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	for from := 0; from < rows && ctx.Err() == nil; from += fillBatch {
		var b strings.Builder
		b.WriteString("INSERT INTO accounts VALUES ")
		for id := from; id < min(from+fillBatch, rows); id++ {
			if id > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,'owner of account %d',%d.%02d,'2026-01-02 03:04:05.%06d',0)", id, id, id*7, id%100, id)
		}
		r, err := conn.Execute(b.String())
		if err != nil {
			return err
		}
		r.Close()
	}
	return ctx.Err()
}
