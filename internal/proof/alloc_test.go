package proof

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/format/debezium"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/sink"
	"github.com/cdcd-io/cdcd/sink/kafka"
	"github.com/cdcd-io/cdcd/source"
	"github.com/cdcd-io/cdcd/source/mysql"
	"github.com/cdcd-io/cdcd/txbuffer"
)

// everyType is a column of each supported type with an expression for its value.
var everyType = [][2]string{
	{"TINYINT", "-7"}, {"SMALLINT UNSIGNED", "65535"}, {"MEDIUMINT", "-8388608"}, {"INT", "n.n"}, {"BIGINT UNSIGNED", "18446744073709551615"},
	{"BIT(17)", "b'10101'"}, {"YEAR", "2026"}, {"DECIMAL(65,30)", "-12345.678901"}, {"DECIMAL(10,2)", "n.n / 7"},
	{"FLOAT", "3.25"}, {"DOUBLE", "1e300 / n.n"}, {"DATE", "'2026-02-28'"}, {"TIME(6)", "'-838:59:58.123456'"}, {"TIME", "'25:00:00'"},
	{"DATETIME(6)", "'2026-02-28 12:34:56.654321'"}, {"DATETIME", "'1000-01-01 00:00:00'"}, {"TIMESTAMP(3) NULL", "'2026-02-28 12:34:56.789'"},
	{"CHAR(40) CHARACTER SET utf8mb4", "'日本 😀'"}, {"VARCHAR(300) CHARACTER SET utf8mb3", "REPEAT('é', 60)"},
	{"VARCHAR(40) CHARACTER SET latin1", "'äÿ€'"}, {"VARCHAR(40) CHARACTER SET ascii", `'quote " back\\slash'`},
	{"TEXT CHARACTER SET utf8mb4", "REPEAT('tab\\t', 30)"}, {"BINARY(8)", "'abc'"}, {"VARBINARY(40)", "0xff00fe"}, {"BLOB", "REPEAT(0x80, 200)"},
	{"ENUM('small','large') CHARACTER SET utf8mb4", "'large'"}, {"SET('a','b','c') CHARACTER SET utf8mb4", "'a,c'"},
	{"JSON", `'{"a": [1, -2.5, "x", null, true], "b": {"c": "é"}}'`}, {"INT NULL", "NULL"},
}

// TestNothingIsAllocatedPerRow follows rows of every type from the socket to the
// finished record batch: frame, assemble, decode, render, pack. What is allocated
// belongs to the unit (the memory of its batches, which nobody gives back here):
// a few dozen for thousands of rows, where one row that allocated would be seen
// in each of them.
func TestNothingIsAllocatedPerRow(t *testing.T) {
	const rows, runs = 3000, 2
	broker := testenv.ForTest(t).Kafka(testenv.KafkaOptions{})
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			m := testenv.SharedMySQL(t, flavor)
			h := newHotPath(t, m, broker)
			h.fill(t, m, rows, runs+2)
			h.transaction(t) // the table's first: programs are compiled, buffers grow
			if n := testing.AllocsPerRun(runs, func() { h.transaction(t) }); n > rows/20 {
				t.Errorf("%v allocations for a transaction of %d rows", n, rows)
			} else {
				t.Logf("%v allocations for a transaction of %d rows, %d bytes of batches", n, rows, h.packed)
			}
			if h.rows != rows*(runs+2) {
				t.Errorf("%d rows passed, want %d", h.rows, rows*(runs+2))
			}
		})
	}
}

// hotPath is a line without its goroutines, up to the sink's door.
type hotPath struct {
	ctx    context.Context
	db     string
	stream source.Stream
	ring   *txbuffer.Ring
	asm    *txbuffer.Assembler
	enc    format.Encoder
	packer sink.Packer
	ev     event.Event
	rows   uint64
	packed int
}

func newHotPath(t *testing.T, m *testenv.MySQL, broker *testenv.Kafka) *hotPath {
	h := &hotPath{ctx: t.Context(), db: m.Database(t)}
	c := mysql.DefaultConfig()
	c.Hosts, c.User, c.Password = []string{m.Addr()}, testenv.ReaderUser, testenv.ReaderPassword
	c.Tables.Include = []string{h.db + ".*"}
	src := mysql.New(c, "proof", t.Name())
	from, err := src.Start(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if h.stream, err = src.Open(h.ctx, from); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.stream.Close() })
	bc := txbuffer.DefaultConfig()
	bc.SpillDir = t.TempDir()
	if h.ring, err = txbuffer.NewRing(bc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.ring.Close(nil) })
	h.asm = txbuffer.NewAssembler(from, h.ring)
	h.enc = debezium.New(debezium.DefaultConfig(), debezium.Deps{Source: "shop", Flavor: from.Flavor, Routes: &format.Routes{}})
	h.packer = connectedPacker(t, broker, h.db)
	return h
}

// connectedPacker is a packer of a Kafka sink: it asks a real broker for topics.
func connectedPacker(t *testing.T, broker *testenv.Kafka, pipeline string) sink.Packer {
	c := kafka.DefaultConfig()
	c.Brokers = []string{broker.Bootstrap()}
	c.Installation, c.Pipeline = "proof", pipeline
	k := kafka.New(c, kafka.Options{})
	if _, err := k.Connect(t.Context(), 1, checkpoint.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close(context.Background()) })
	return k.Packer()
}

// fill writes transactions of so many rows each.
func (h *hotPath) fill(t *testing.T, m *testenv.MySQL, rows, transactions int) {
	var columns, names, values []string
	for i, c := range everyType {
		name := fmt.Sprintf("c%d", i)
		columns = append(columns, name+" "+c[0])
		names, values = append(names, name), append(values, c[1])
	}
	numbers := fmt.Sprintf("(WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < %d) SELECT n FROM n) n", rows)
	depth := "cte_max_recursion_depth"
	if m.Flavor() != testenv.MySQL97 {
		depth = "max_recursive_iterations"
	}
	sql := []string{"USE " + h.db, fmt.Sprintf("SET SESSION %s = %d", depth, rows+1), "SET time_zone = '+00:00', sql_mode = ''",
		"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, " + strings.Join(columns, ", ") + ")"}
	for range transactions {
		sql = append(sql, fmt.Sprintf("INSERT INTO t (%s) SELECT %s FROM %s", strings.Join(names, ", "), strings.Join(values, ", "), numbers))
	}
	if err := m.Exec(h.ctx, strings.Join(sql, ";\n")); err != nil {
		t.Fatal(err)
	}
}

// transaction takes the next one with rows all the way.
func (h *hotPath) transaction(t *testing.T) {
	for before := h.rows; h.rows == before; {
		if err := h.stream.Next(h.ctx, &h.ev); err != nil {
			t.Fatal(err)
		}
		finished, err := h.asm.Step(h.ctx, &h.ev)
		if err != nil {
			t.Fatal(err)
		}
		if finished {
			h.deliver(t)
		}
	}
}

// deliver renders and packs what the ring holds.
func (h *hotPath) deliver(t *testing.T) {
	for {
		p, err := h.ring.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			break
		}
		if p.First {
			h.rows += p.Tx.Rows
		}
		if p.Tx.Rows > 0 {
			h.packer.Start(p)
			if err := h.enc.Encode(p, h.packer); err != nil {
				t.Fatal(err)
			}
		}
		p.Release()
	}
	packed, err := h.packer.Pack()
	if err != nil {
		t.Fatal(err)
	}
	h.packed = packed.Bytes()
}
