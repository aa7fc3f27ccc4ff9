package event

// Partial says how much is done of the transaction that follows a position,
// where a sink had to deliver that one in parts; zero where nothing is. It is
// good for that transaction only, with just the rows it was counted in: rows
// are told apart by their number among the captured ones, which a change of
// what is captured shifts.
type Partial struct {
	Rows  uint64 // captured rows that are done, from the first on
	Tx    string // Tx.Key
	Print uint64 // of the tables and their counts of captured rows
}

// IsZero reports whether nothing is done.
func (p Partial) IsZero() bool { return p.Rows == 0 }

// Of reports whether tx is the transaction that p is about, with the same
// captured rows.
func (p Partial) Of(tx *Tx) bool {
	return p.Tx == tx.Key && p.Print == tx.print() && p.Rows <= tx.Rows
}

// Part says that the first rows captured rows of the transaction are done; zero
// for a silent one, which has no number and is delivered whole.
func (tx *Tx) Part(rows uint64) Partial {
	if tx.Silent {
		return Partial{}
	}
	return Partial{Rows: rows, Tx: tx.Key, Print: tx.print()}
}

// print is FNV-1a over the captured tables and their counts of rows. The log
// does not change, so where these agree each row has its number again.
func (tx *Tx) print() uint64 {
	h := fnv(14695981039346656037)
	for i := range tx.Tables {
		t := &tx.Tables[i]
		h = h.text(t.Database).text(t.Table).number(t.Rows)
	}
	return uint64(h)
}

type fnv uint64

func (h fnv) byte(b byte) fnv { return (h ^ fnv(b)) * 1099511628211 }

func (h fnv) text(s string) fnv {
	for i := range len(s) {
		h = h.byte(s[i])
	}
	return h.number(uint64(len(s)))
}

func (h fnv) number(n uint64) fnv {
	for range 8 {
		h, n = h.byte(byte(n)), n>>8
	}
	return h
}
