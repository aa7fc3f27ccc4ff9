package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// Workload writes random transactions: inserts, updates, deletes, key changes,
// rollbacks, savepoints, small and large, into a database of its own. Each
// transaction also writes one row to the table ledger, and the ledger in memory
// says what became of it, so that the judge knows what must have arrived.
type Workload struct {
	Addr, User, Password, Database string
	Writers                        int
	Seed                           uint64
	BigRows                        int           // rows of a large transaction, one in 200; 0 for none
	DDL                            bool          // ALTER and TRUNCATE now and then
	Pause                          time.Duration // of a writer between two transactions

	mu     sync.Mutex
	ledger map[string]Outcome
}

// Outcome is what a writer knows of its transaction.
type Outcome byte

// The outcomes. Unknown may have happened or not; it must be one or the other.
const (
	Committed Outcome = iota + 1
	RolledBack
	Unknown
)

// Schema creates the tables of the workload.
func (w *Workload) Schema() []string {
	return []string{
		"CREATE TABLE ledger (writer INT, n INT, PRIMARY KEY (writer, n))",
		"CREATE TABLE accounts (id INT PRIMARY KEY, owner VARCHAR(60), balance DECIMAL(14,2), opened DATETIME(6), ver BIGINT NOT NULL)",
		"CREATE TABLE orders (region VARCHAR(8), n BIGINT UNSIGNED, state ENUM('new','paid','sent'), body VARCHAR(2000), ver BIGINT NOT NULL, PRIMARY KEY (region, n))",
		"CREATE TABLE evolving (id INT PRIMARY KEY, v VARCHAR(40), ver BIGINT NOT NULL)",
		"CREATE TABLE scratch (id INT PRIMARY KEY, ver BIGINT NOT NULL)",
	}
}

// Ledger returns what the writers know of each transaction, by "writer/n".
func (w *Workload) Ledger() map[string]Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]Outcome, len(w.ledger))
	for k, v := range w.ledger {
		out[k] = v
	}
	return out
}

// Run writes until ctx ends or each writer has done n transactions (0: no end).
// A lost server is connected to again; the transaction in hand is Unknown.
func (w *Workload) Run(ctx context.Context, n int) error {
	w.mu.Lock()
	if w.ledger == nil {
		w.ledger = map[string]Outcome{}
	}
	w.mu.Unlock()
	errs := make([]error, w.Writers)
	var wg sync.WaitGroup
	for i := range w.Writers {
		wg.Go(func() { errs[i] = w.writer(ctx, i, n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (w *Workload) writer(ctx context.Context, id, n int) error {
	t := &writer{w: w, id: id, rnd: rand.New(rand.NewPCG(w.Seed, uint64(id)))}
	defer t.close()
	first := w.count(id)
	for i := first; ctx.Err() == nil && (n == 0 || i < first+n); i++ {
		if err := t.transaction(ctx, i); err != nil {
			return fmt.Errorf("writer %d, transaction %d: %w", id, i, err)
		}
		select {
		case <-time.After(w.Pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// count says how many transactions the writer has in the ledger already.
func (w *Workload) count(id int) int {
	n := 0
	for k := range w.Ledger() {
		if strings.HasPrefix(k, fmt.Sprintf("%d/", id)) {
			n++
		}
	}
	return n
}

func (w *Workload) note(id, n int, o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger[fmt.Sprintf("%d/%d", id, n)] = o
}

type writer struct {
	w    *Workload
	id   int
	rnd  *rand.Rand
	conn *client.Conn
	ver  int64
}

func (t *writer) close() {
	if t.conn != nil {
		_ = t.conn.Close()
	}
}

// transaction runs the nth transaction and notes its outcome. An error is one
// that the workload did not expect.
func (t *writer) transaction(ctx context.Context, n int) error {
	if t.conn == nil {
		conn, err := client.ConnectWithContext(ctx, t.w.Addr, t.w.User, t.w.Password, t.w.Database, connectTimeout)
		if err != nil {
			t.w.note(t.id, n, RolledBack)
			return nil // the server is away: nothing was begun
		}
		t.conn = conn
	}
	outcome, err := t.try(n)
	t.w.note(t.id, n, outcome)
	return err
}

func (t *writer) try(n int) (Outcome, error) {
	if t.w.DDL && t.id == 0 && n%50 == 49 {
		if err := t.ddl(n); err != nil {
			return t.failed(err, RolledBack)
		}
	}
	if err := t.exec("BEGIN"); err != nil {
		return t.failed(err, RolledBack)
	}
	if err := t.body(n); err != nil {
		return t.failed(err, RolledBack)
	}
	if t.rnd.IntN(12) == 0 {
		err := t.exec("ROLLBACK")
		return t.failed(err, RolledBack)
	}
	return t.failed(t.exec("COMMIT"), Committed)
}

// failed sorts an error: deadlocks and duplicate keys roll back, a lost
// connection leaves the outcome open when it struck the COMMIT.
func (t *writer) failed(err error, o Outcome) (Outcome, error) {
	if err == nil {
		return o, nil
	}
	var my *mysql.MyError
	if errors.As(err, &my) && (my.Code == 1213 || my.Code == 1205 || my.Code == 1062) {
		return RolledBack, t.exec("ROLLBACK")
	}
	if errors.As(err, &my) && my.Code != 1053 && my.Code != 1927 {
		return RolledBack, err
	}
	t.close()
	t.conn = nil
	if o == Committed {
		return Unknown, nil
	}
	return RolledBack, nil
}

func (t *writer) exec(format string, args ...any) error {
	r, err := t.conn.Execute(fmt.Sprintf(format, args...))
	if r != nil {
		r.Close()
	}
	return err
}

// body writes one ledger row and a few random changes to rows of this writer's
// own range, so that writers do not wait for one another for long.
func (t *writer) body(n int) error {
	if err := t.exec("INSERT INTO ledger VALUES (%d,%d)", t.id, n); err != nil {
		return err
	}
	if t.w.BigRows > 0 && t.rnd.IntN(200) == 0 {
		return t.big()
	}
	for range 1 + t.rnd.IntN(5) {
		if err := t.change(); err != nil {
			return err
		}
	}
	return nil
}

func (t *writer) change() error {
	t.ver++
	id := t.id*1000 + t.rnd.IntN(60)
	switch t.rnd.IntN(9) {
	case 0, 1:
		return t.exec("INSERT INTO accounts VALUES (%d,'%s',%d.%02d,'2026-03-04 05:06:07.%06d',%d) ON DUPLICATE KEY UPDATE balance=balance+1, ver=%d",
			id, t.text(40), t.rnd.IntN(1e9)-5e8, t.rnd.IntN(100), t.rnd.IntN(1e6), t.ver, t.ver)
	case 2:
		return t.exec("UPDATE accounts SET balance=balance-0.01, ver=%d WHERE id=%d", t.ver, id)
	case 3:
		return t.exec("DELETE FROM accounts WHERE id=%d", id)
	case 4: // key change; the new key may be taken
		return t.exec("UPDATE IGNORE accounts SET id=%d, ver=%d WHERE id=%d", t.id*1000+t.rnd.IntN(60), t.ver, id)
	case 5:
		return t.exec("REPLACE INTO orders VALUES ('r%d',%d,'%s','%s',%d)", t.id, t.rnd.IntN(40), [...]string{"new", "paid", "sent"}[t.rnd.IntN(3)], t.text(1500), t.ver)
	case 6:
		return t.exec("DELETE FROM orders WHERE region='r%d' AND n=%d", t.id, t.rnd.IntN(40))
	case 7:
		return t.exec("INSERT INTO evolving (id,v,ver) VALUES (%d,'%s',%d) ON DUPLICATE KEY UPDATE v=VALUES(v), ver=VALUES(ver)", id, t.text(30), t.ver)
	}
	return t.savepoint(id)
}

// savepoint undoes a part of the transaction: its rows must not arrive.
func (t *writer) savepoint(id int) error {
	for _, q := range []string{
		"SAVEPOINT a",
		fmt.Sprintf("INSERT IGNORE INTO scratch VALUES (%d,-1)", id),
		fmt.Sprintf("DELETE FROM accounts WHERE id=%d", id),
		"ROLLBACK TO a",
		fmt.Sprintf("INSERT INTO scratch VALUES (%d,%d) ON DUPLICATE KEY UPDATE ver=%d", id, t.ver, t.ver),
	} {
		if err := t.exec("%s", q); err != nil {
			return err
		}
	}
	return nil
}

// big writes one large transaction into a range of its own.
func (t *writer) big() error {
	base := 100000 * (t.id + 1)
	for at := 0; at < t.w.BigRows; at += 500 {
		var b strings.Builder
		b.WriteString("REPLACE INTO scratch VALUES ")
		for i := at; i < min(at+500, t.w.BigRows); i++ {
			if i > at {
				b.WriteByte(',')
			}
			t.ver++
			fmt.Fprintf(&b, "(%d,%d)", base+i, t.ver)
		}
		if err := t.exec("%s", b.String()); err != nil {
			return err
		}
	}
	return nil
}

// ddl changes a definition, or empties a table.
func (t *writer) ddl(n int) error {
	if n%100 == 99 {
		return t.exec("TRUNCATE TABLE scratch")
	}
	if n > 1000 {
		return nil // wide enough
	}
	return t.exec("ALTER TABLE evolving ADD COLUMN c%d INT DEFAULT %d", n, n)
}

const letters = "abcdefghijklmnopqrstuvwxyz äöü€😀"

var runes = []rune(letters)

func (t *writer) text(n int) string {
	var b strings.Builder
	for range t.rnd.IntN(n) {
		b.WriteRune(runes[t.rnd.IntN(len(runes))])
	}
	return b.String()
}
