package redis

import (
	"context"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cdcd-io/cdcd/resilience"
)

// marks names the writes of one life of the sink.
type marks struct {
	instance string
	n        *uint64
}

// next is a mark that no write ever had.
func (m marks) next() string {
	*m.n++
	return m.instance + "." + strconv.FormatUint(*m.n, 10)
}

// beaconWrite is one write of the beacon: the mark it must have, then fields and
// values.
type beaconWrite struct {
	mark    string
	seq     uint64 // that it tells of
	resumes bool   // it sets the position
	args    []any
}

// set sets a field, also one that is set already.
func (w *beaconWrite) set(field, value string) {
	for i := 1; i+1 < len(w.args); i += 2 {
		if w.args[i] == field {
			w.args[i+1] = value
			return
		}
	}
	w.args = append(w.args, field, value)
}

// setLag says how far behind the source this write is, by a sign of the source
// from a time; -1 where there is none.
func (w *beaconWrite) setLag(now, sign time.Time) {
	lag := int64(-1)
	if !sign.IsZero() {
		lag = max(now.Sub(sign).Milliseconds(), 0)
	}
	w.set("lag", strconv.FormatInt(lag, 10))
}

// setLag is beaconWrite.setLag for a sign of the source. While keys wait to be
// deleted again, an entry may be as old as the commit, or as the last answer that it does not show.
func (l *line) setLag(w *beaconWrite, now, sign time.Time) {
	if len(l.again.items) > 0 {
		if seen := l.again.seen(l.asked); seen.Before(sign) {
			sign = seen
		}
	}
	w.setLag(now, sign)
}

// nextBeacon is the write that says how far the line is now.
func (l *line) nextBeacon(now time.Time) (beaconWrite, error) {
	w := beaconWrite{mark: l.marks.next()}
	w.args = append(make([]any, 0, 16), l.mark,
		"v", beaconVersion, "mark", w.mark,
		"generation", strconv.FormatUint(l.cp.Generation, 10), "term", strconv.FormatUint(l.term, 10))
	l.setLag(&w, now, l.commit)
	w.seq = l.pos.Seq
	if l.pos.Seq >= l.floor { // else the deletes up to there are done; these are repeated
		w.set("seq", strconv.FormatUint(l.pos.Seq, 10))
	}
	if l.last.Seq < l.lastFloor {
		return w, nil
	}
	w.set("last", strconv.FormatUint(l.last.Seq, 10))
	if l.mark != "" && now.Sub(l.resumed) < resumeEvery {
		return w, nil
	}
	text, err := encodeResume(l.cp, l.last)
	if err != nil {
		return w, err
	}
	w.resumes = true
	w.set("position", text)
	return w, nil
}

// beaconWritten looks at the reply to a write, and repeats it where the server
// had forgotten the script.
func (l *line) beaconWritten(ctx context.Context, cmd *goredis.Cmd, w beaconWrite) error {
	if forgotten(cmd.Err()) {
		cmd = writeBeacon.Eval(ctx, l.conn, []string{l.key}, w.args...)
		if l.obs.ScriptLoaded != nil {
			l.obs.ScriptLoaded()
		}
	}
	reply, err := cmd.StringSlice()
	if err != nil {
		return classify(err, "write beacon", l.conn.addr)
	}
	if len(reply) == 3 {
		return l.overtaken(reply[1], reply[2])
	}
	l.mark, l.told, l.toldSeq, l.answered = w.mark, time.Now(), w.seq, false
	if w.resumes {
		l.resumed = l.told
	}
	return nil
}

// overtaken is why the beacon is not the one that this line left.
func (l *line) overtaken(mark, term string) error {
	theirs, err := strconv.ParseUint(term, 10, 64)
	switch {
	case mark == "":
		return resilience.Errorf(resilience.Transient, "beacon_gone", "write beacon", "it is not there any more: Redis was emptied, restored or replaced").
			WithPlace("%s", l.conn.addr)
	case err == nil && theirs > l.term:
		return fencedBy(theirs, l.term)
	}
	return resilience.Errorf(resilience.Transient, "beacon_changed", "write beacon", "it is not what this process wrote last: Redis lost acknowledged writes, or another process writes too").
		WithPlace("%s", l.conn.addr)
}
