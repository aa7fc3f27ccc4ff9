package kafka

import (
	"slices"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/resilience"
)

// hang is what of one of our transactions lies undecided in a partition though
// its coordinator is through with it.
type hang struct {
	place
	writer      session
	first, last int64 // offsets of its first and last record
	// seqs are sequence numbers of batches: of the first and the last that was
	// looked at. They are of one transaction, or something is wrong.
	seqs []int32
}

// lostEnd is the newest end of a Kafka transaction in the checkpoint topic, if
// that is not committed: undecided, or aborted.
type lostEnd struct {
	at       int64 // offset
	entries  []entry
	writer   session
	position checkpoint.Checkpoint
	ledger   ledger
}

// facts is what lies in the partitions, and what was said of it.
type facts struct {
	us      session
	stored  checkpoint.Checkpoint // newest committed position; may be zero
	ledgers map[session]ledger    // of the newest committed transaction of each session
	sealed  *lostEnd
	told    checkpoint.Checkpoint // newest position that was reported as durable
	log     *hang                 // in the checkpoint topic
	hangs   []hang                // in data topics
	note    *note                 // an earlier decision to commit
	// looked says that the rest is filled in: whether a part of the sealed
	// transaction is committed, and one of its partitions that did not answer.
	looked bool
	shown  bool
	blind  *place
}

// settlement is what is to be done about hanging transactions.
type settlement struct {
	commit, abort []hang
	reason        string
}

// The reasons of a settlement.
const (
	reasonStored   = "its position is stored"
	reasonTold     = "it was reported as durable"
	reasonShown    = "a part of it is committed"
	reasonNoted    = "that was decided before"
	reasonUnsealed = "it had no end"
	reasonUnseen   = "nobody saw anything of it"
)

// decide says how to end what hangs. look asks for facts.looked first.
func decide(f *facts) (s settlement, look bool, err error) {
	for _, h := range f.hanging() {
		var commit bool
		if commit, look, err = f.outcome(&h, &s.reason); look || err != nil {
			return settlement{}, look, err
		}
		if h.writer.pid != f.us.pid {
			return settlement{}, false, endByHand(&h, commit, s.reason)
		}
		if commit {
			s.commit = append(s.commit, h)
		} else {
			s.abort = append(s.abort, h)
		}
	}
	return s, false, nil
}

// hanging is all that hangs.
func (f *facts) hanging() []hang {
	if f.log == nil {
		return f.hangs
	}
	return append([]hang{*f.log}, f.hangs...)
}

// outcome decides about one partition. What a committed ledger covers is
// committed. What none covers has no end. Between them is the last transaction.
func (f *facts) outcome(h *hang, reason *string) (commit, look bool, err error) {
	if f.note.covers(h) {
		*reason = reasonNoted
		return true, false, nil
	}
	if f.log != nil && h.place == f.log.place {
		if f.sealed == nil || f.sealed.at < h.first {
			*reason = reasonUnsealed
			return false, false, nil
		}
		return f.fate(reason)
	}
	stored, last := f.ledgers[h.writer].count(h), 0
	if f.sealed != nil && f.sealed.writer == h.writer {
		last = f.sealed.ledger.count(h)
	}
	switch n := len(h.seqs); {
	case stored == n:
		*reason = reasonStored
		return true, false, nil
	case last == n:
		return f.fate(reason)
	case stored == 0 && last == 0:
		*reason = reasonUnsealed
		return false, false, nil
	}
	return false, false, endByHand(h, false, "records of several transactions lie there undecided")
}

// count is how many of the batches that were looked at are of the transaction.
func (l ledger) count(h *hang) int {
	n := 0
	for _, seq := range h.seqs {
		if l[h.place].holds(seq) {
			n++
		}
	}
	return n
}

// fate is how the sealed transaction ended: committed, if anybody may know of
// it. There must be one.
func (f *facts) fate(reason *string) (commit, look bool, err error) {
	switch {
	case checkpoint.After(f.told, f.stored) && checkpoint.Compare(f.told, f.sealed.position) >= 0:
		*reason = reasonTold
		return true, false, nil
	case !f.looked:
		return false, true, nil
	case f.shown:
		*reason = reasonShown
		return true, false, nil
	case f.blind != nil:
		return false, false, resilience.Errorf(resilience.Transient, "transaction_undecided", "settle transaction",
			"the brokers forgot to end a transaction, and whether it was committed can only be told when %s answers", f.blind).
			WithHint("bring back a broker that has the partition")
	}
	*reason = reasonUnseen
	return false, false, nil
}

// unseen lists the partitions that could show a part of the sealed transaction:
// those of its partitions in which nothing of ours hangs.
func (f *facts) unseen() []place {
	var places []place
	for at := range f.sealed.ledger {
		if !slices.ContainsFunc(f.hangs, func(h hang) bool { return h.place == at }) {
			places = append(places, at)
		}
	}
	return places
}

// endByHand is the error of what we cannot end.
func endByHand(h *hang, commit bool, why string) error {
	outcome, rest := "abort", ""
	if commit {
		outcome, rest = "commit", " (Kafka has no tool that commits: the changes in it are lost for those who read this partition)"
	}
	return resilience.Errorf(resilience.Fatal, "hanging_transaction", "settle transaction",
		"the brokers forgot to end a transaction of producer id %d, and we cannot do it; right would be to %s it: %s", h.writer.pid, outcome, why).
		WithPlace("%s, offset %d", h.place, h.first).
		WithHint("kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic %s --partition %d --start-offset %d%s; then cdcd resume", h.topic, h.part, h.first, rest)
}

// commitsSealed tells that the settlement commits the sealed transaction: then
// its records in the checkpoint topic must be stored in the end.
func (f *facts) commitsSealed(s settlement) bool {
	for i := range s.commit {
		h := &s.commit[i]
		if h.writer == f.sealed.writer && (f.sealed.ledger.count(h) > 0 || f.log != nil && h.place == f.log.place) {
			return true
		}
	}
	return false
}
