package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// The rows of the giant transaction: keys and text that does not compress into
// nothing.
const (
	giantRowBytes = 10_000
	giantInsert   = 400 // rows a statement
)

// giant measures one transaction of that many bytes on its way into Kafka. The
// peak memory of the process is what it is about.
func giant(ctx context.Context, s *servers, t target, size int64) (result, error) {
	if err := t.markStart(ctx); err != nil {
		return result{}, err
	}
	began := time.Now()
	if err := writeGiant(ctx, s.db, int(size/giantRowBytes)); err != nil {
		return result{}, fmt.Errorf("write the giant transaction: %w", err)
	}
	fmt.Fprintf(os.Stderr, "giant transaction of %d MiB written in %s\n", size>>20, time.Since(began).Round(time.Second))
	if err := t.markEnd(ctx, s.db); err != nil {
		return result{}, err
	}
	r, err := measure("cdcd to Kafka, exactly once", t)
	r.Name = fmt.Sprintf("one transaction of %d MiB to Kafka, exactly once", size>>20)
	r.RatioToFraming, r.RatioToDecoding = 0, 0
	return r, err
}

func writeGiant(ctx context.Context, db *testenv.MySQL, rows int) error {
	conn, err := load{addr: db.Addr(), user: testenv.RootUser, password: testenv.RootPassword}.connect(ctx, "sbtest")
	if err != nil {
		return err
	}
	defer conn.Close()
	exec := func(q string) error {
		_, err := conn.Execute(q)
		return err
	}
	for _, q := range []string{"DROP TABLE IF EXISTS giant", "CREATE TABLE giant (id INT NOT NULL PRIMARY KEY, body TEXT NOT NULL)", "BEGIN"} {
		if err := exec(q); err != nil {
			return err
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	text := digits(rnd, 100*giantRowBytes/12)
	for first := 0; first < rows && ctx.Err() == nil; first += giantInsert {
		if err := exec(giantStatement(rnd, text, first, min(first+giantInsert, rows))); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return exec("COMMIT")
}

func giantStatement(rnd *rand.Rand, text string, from, to int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO giant VALUES ")
	for id := from; id < to; id++ {
		if id > from {
			b.WriteByte(',')
		}
		at := rnd.IntN(len(text) - giantRowBytes)
		fmt.Fprintf(&b, "(%d,'%s')", id, text[at:at+giantRowBytes])
	}
	return b.String()
}
