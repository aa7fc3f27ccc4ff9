package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// The explorer takes one key through every order of steps: commits that reach
// the log before anybody sees them, replicas that apply the log ahead of or
// behind that, a daemon at any distance, readers that stop anywhere, evictions,
// leases that end early. When everything is at rest, an entry that is not of the
// last commit is stale for ever. Variants that are known to be stale must be
// found stale, or the explorer sees nothing.

// variant is a way to run a cache.
type variant struct {
	name  string
	stale bool // what has to be found

	commits, readers int
	fill             string // "" by lease, "set", "nx"
	replica          bool   // readers read a replica
	snapshot         bool   // readers read from a snapshot older than their lease
	gap              bool   // a commit is in the log before the primary shows it
	tailReplica      bool   // the daemon reads the log behind the replica
	late             bool   // the daemon deletes only once the commit is visible
	again, againRep  bool   // it deletes again once the primary, the replica shows the commit
	evictions, ends  int    // entries evicted, leases and hold-offs that end early
	zombie           bool   // another daemon deletes once more, at any time
	holdOff          bool   // writers begin with a hold-off, and end with a delete
	fails            bool   // loaders may fail, and replies get lost
	// failover: Redis goes back to a state it had. "blind": nobody notices;
	// "first": the daemon goes back to where it had deleted once; "all": to where
	// it had deleted for the last time.
	failover string
	// generation: the daemon deletes the generation instead of the key; readers
	// may know an old one. "random" or, known to be unsafe, "counter".
	generation string
}

// position is how far everybody is: numbers of commits.
type position struct{ first, again, againRep int8 }

type world struct {
	log, shown, applied int8 // commits in the log, on the primary, on the replica
	daemon              position
	raw                 string // the entry
	gen                 string
	gens                int8 // generations made so far
	readers             [3]reader
	tokens              int8
	evictions, ends     int8
	zombie              int8 // 0 nothing, 1 holds a delete, 2 done
	writing             bool
	copied              int8 // failover: 0 no copy, 1 copy taken, 2 failed over
	copyRaw             string
	copyDaemon          position
}

type phase uint8

const (
	idle phase = iota
	lookedGen
	snapshotTaken
	asking
	loading
	loadingOnly
	filling
	waiting
	done
)

type reader struct {
	phase phase
	token string
	gen   string
	value int8
}

// explorer walks breadth first.
type explorer struct {
	v    variant
	seen map[world]struct{}
	next []world
	bad  *world
}

func explore(v variant) (states int, bad *world) {
	x := &explorer{v: v, seen: map[world]struct{}{}}
	start := world{evictions: int8(v.evictions), ends: int8(v.ends)}
	if v.generation != "" {
		start.gen, start.gens = x.newGen(&start), 1
	}
	x.visit(start)
	for len(x.next) > 0 && x.bad == nil {
		w := x.next[0]
		x.next = x.next[1:]
		x.steps(w)
		if x.quiet(w) && x.atRest(w) && x.isStale(w) {
			x.bad = &w
		}
	}
	return len(x.seen), x.bad
}

func (x *explorer) visit(w world) {
	if _, ok := x.seen[w]; !ok {
		x.seen[w] = struct{}{}
		x.next = append(x.next, w)
	}
}

// quiet: the stream and the readers are at their end.
func (x *explorer) quiet(w world) bool {
	for _, r := range w.readers[:x.v.readers] {
		if r.phase != done && r.phase != idle {
			return false
		}
	}
	n := int8(x.v.commits)
	return w.log == n && w.shown == n && (w.applied == n || !x.usesReplica()) && w.daemon.first == n && !w.writing &&
		(w.daemon.again == n || !x.v.again) && (w.daemon.againRep == n || !x.v.againRep)
}

// atRest: nothing is left that could still happen to the entry from outside.
func (x *explorer) atRest(w world) bool { return w.zombie != 1 && w.copied != 1 }

func (x *explorer) usesReplica() bool { return x.v.replica || x.v.tailReplica || x.v.againRep }

// isStale: a reader would be served something else than the last commit.
func (x *explorer) isStale(w world) bool {
	e := Parse(w.raw)
	return e.Kind == Value && e.Answers(w.gen) && e.Payload != strconv.Itoa(x.v.commits)
}

func (x *explorer) steps(w world) {
	x.database(w)
	x.daemonSteps(w)
	x.redis(w)
	for i := range w.readers[:x.v.readers] {
		x.readerSteps(w, i)
	}
}

func (x *explorer) database(w world) {
	n := w
	if x.v.holdOff && !w.writing && w.log < int8(x.v.commits) {
		n.writing, n.raw = true, Entry{Kind: HoldOff}.String()
		x.visit(n)
	}
	if w.log < int8(x.v.commits) && (!x.v.holdOff || w.writing) && (w.log == w.shown || x.v.gap) {
		n = w
		n.log++
		if !x.v.gap {
			n.shown++
		}
		n.writing = false
		if x.v.holdOff {
			x.visit(n) // the writer dies before its delete
			n.raw = ""
		}
		x.visit(n)
	}
	if w.shown < w.log {
		n = w
		n.shown++
		x.visit(n)
	}
	if w.applied < w.log && x.usesReplica() {
		n = w
		n.applied++
		x.visit(n)
	}
}

// remove is what the daemon does to the cache.
func (x *explorer) remove(w *world) {
	if x.v.generation != "" {
		w.gen = ""
	} else {
		w.raw = ""
	}
}

func (x *explorer) daemonSteps(w world) {
	reach := w.log
	if x.v.tailReplica {
		reach = w.applied
	}
	if x.v.late {
		reach = w.shown
	}
	for _, step := range []struct {
		at    func(*world) *int8
		limit int8
		on    bool
	}{
		{func(w *world) *int8 { return &w.daemon.first }, reach, true},
		{func(w *world) *int8 { return &w.daemon.again }, min(w.daemon.first, w.shown), x.v.again},
		{func(w *world) *int8 { return &w.daemon.againRep }, min(w.daemon.first, w.applied), x.v.againRep},
	} {
		n := w
		if p := step.at(&n); step.on && *p < step.limit {
			*p++
			x.remove(&n)
			x.visit(n)
		}
	}
	n := w
	switch {
	case x.v.zombie && w.zombie == 0 && w.log > 0:
		n.zombie = 1
		x.visit(n)
	case w.zombie == 1:
		n.zombie = 2
		x.remove(&n)
		x.visit(n)
	}
}

// redis is what happens to Redis by itself.
func (x *explorer) redis(w world) {
	e := Parse(w.raw)
	if w.evictions > 0 && (w.raw != "" || x.v.generation != "" && w.gen != "") {
		n := w
		n.evictions--
		n.raw = ""
		x.visit(n)
		if x.v.generation != "" {
			n = w
			n.evictions--
			n.gen = ""
			x.visit(n)
		}
	}
	if w.ends > 0 && (e.Kind == Lease || e.Kind == HoldOff) {
		n := w
		n.ends--
		n.raw = ""
		x.visit(n)
	}
	x.failoverSteps(w)
}

func (x *explorer) failoverSteps(w world) {
	n := w
	switch {
	case x.v.failover == "":
	case w.copied == 0:
		n.copied, n.copyRaw, n.copyDaemon = 1, w.raw, w.daemon
		x.visit(n)
	case w.copied == 1:
		n.copied, n.raw, n.copyRaw = 2, w.copyRaw, ""
		last := n.copyDaemon.first
		if x.v.failover == "all" {
			if x.v.again {
				last = min(last, n.copyDaemon.again)
			}
			if x.v.againRep {
				last = min(last, n.copyDaemon.againRep)
			}
		}
		if x.v.failover != "blind" {
			n.daemon = position{min(n.daemon.first, last), min(n.daemon.again, last), min(n.daemon.againRep, last)}
		}
		n.copyDaemon = position{}
		x.visit(n)
	}
}

func (x *explorer) newGen(w *world) string {
	if x.v.generation == "counter" { // an evicted counter starts again
		return strings.Repeat("0", TokenLen-1) + "1"
	}
	return fmt.Sprintf("%0*d", TokenLen, w.gens+1)
}

// readerSteps is one step of reader i: what the library does, and in between
// the database.
func (x *explorer) readerSteps(w world, i int) {
	r := w.readers[i]
	seen := w.shown
	if x.v.replica {
		seen = w.applied
	}
	switch r.phase {
	case idle:
		r.phase = lookedGen
		if x.v.generation != "" {
			if w.gen == "" {
				w.gen = x.newGen(&w)
				w.gens++
			}
			r.gen = w.gen
		}
		x.put(w, i, r)
	case lookedGen:
		if x.v.snapshot {
			r.phase, r.value = snapshotTaken, seen
			x.put(w, i, r)
			return
		}
		x.look(w, i, r)
	case snapshotTaken:
		x.look(w, i, r)
	case asking:
		x.ask(w, i, r)
	case waiting: // waited out, or something changed
		only := r
		only.phase = loadingOnly
		x.put(w, i, only)
		if Parse(w.raw).Kind != Lease {
			x.look(w, i, r)
		}
	case loadingOnly: // it writes nothing
		x.put(w, i, reader{phase: done})
	case loading:
		if !x.v.snapshot {
			r.value = seen
		}
		r.phase = filling
		x.put(w, i, r)
		if x.v.fails {
			w.raw, _ = Release(w.raw, r.token)
			x.put(w, i, reader{phase: done})
		}
	case filling:
		w.raw = x.filled(w.raw, r)
		x.put(w, i, reader{phase: done})
	}
}

func (x *explorer) put(w world, i int, r reader) {
	w.readers[i] = r
	x.visit(w)
}

func (x *explorer) look(w world, i int, r reader) {
	if x.v.fill != "" {
		r.phase = loading
		if AfterLook(w.raw, r.gen) == Serve {
			r = reader{phase: done}
		}
		x.put(w, i, r)
		return
	}
	x.follow(w, i, r, AfterLook(w.raw, r.gen))
}

func (x *explorer) ask(w world, i int, r reader) {
	if r.token == "" {
		w.tokens++
		r.token = strconv.Itoa(int(w.tokens))
	}
	var reply string
	w.raw, reply = GetOrLease(w.raw, r.token, r.gen)
	if x.v.fails {
		x.put(w, i, r) // the reply is lost, and it asks again
	}
	x.follow(w, i, r, AfterAsk(reply, r.token, r.gen))
}

func (x *explorer) follow(w world, i int, r reader, s Step) {
	switch s {
	case Serve:
		r = reader{phase: done}
	case Ask:
		r.phase = asking
	case Load:
		r.phase = loading
	case LoadOnly:
		r.phase = loadingOnly
	case Wait:
		r.phase = waiting
	}
	x.put(w, i, r)
}

func (x *explorer) filled(raw string, r reader) string {
	entry := Entry{Kind: Value, Payload: strconv.Itoa(int(r.value)), Generation: r.gen}.String()
	switch {
	case x.v.fill == "set", x.v.fill == "nx" && raw == "":
		return entry
	case x.v.fill == "nx":
		return raw
	}
	raw, _ = Fill(raw, r.token, entry)
	return raw
}

var variants = []variant{
	{name: "plain SET", stale: true, commits: 2, readers: 1, fill: "set"},
	{name: "SET NX", stale: true, commits: 2, readers: 1, fill: "nx"},
	{name: "lease, primary reads", commits: 3, readers: 2, evictions: 1, ends: 2, zombie: true, fails: true},
	{name: "lease, primary reads, three readers", commits: 2, readers: 3, evictions: 1, ends: 1},
	{name: "lease, hold-off", commits: 2, readers: 2, evictions: 1, ends: 1, holdOff: true},
	{name: "lease, a commit visible after it is in the log", stale: true, commits: 1, readers: 1, gap: true},
	{name: "the same, deleted only once visible", commits: 2, readers: 2, gap: true, late: true, evictions: 1, ends: 1},
	{name: "the same, deleted again once visible", commits: 2, readers: 2, gap: true, again: true, evictions: 1, ends: 1, zombie: true},
	{name: "lease, snapshot older than the lease", stale: true, commits: 1, readers: 1, snapshot: true},
	{name: "lease, replica reads", stale: true, commits: 1, readers: 1, replica: true},
	{name: "lease, hold-off, replica reads", stale: true, commits: 1, readers: 1, replica: true, holdOff: true, ends: 1},
	{name: "lease, replica reads, daemon behind the replica", commits: 2, readers: 2, replica: true, tailReplica: true, evictions: 1, ends: 1},
	{name: "lease, replica reads, deleted again on the primary only", stale: true, commits: 1, readers: 1, gap: true, replica: true, again: true},
	{name: "lease, replica reads, deleted again once applied", commits: 2, readers: 2, replica: true, againRep: true, evictions: 1, ends: 1},
	{name: "lease, failover unnoticed", stale: true, commits: 1, readers: 1, failover: "blind"},
	{name: "lease, failover, back to the first deletes", commits: 2, readers: 2, failover: "first", evictions: 1},
	{name: "lease, gap, failover, back to the first deletes", stale: true, commits: 1, readers: 1, gap: true, again: true, failover: "first"},
	{name: "lease, gap, failover, back to the last deletes", commits: 2, readers: 2, gap: true, again: true, failover: "all", ends: 1},
	{name: "generation", commits: 2, readers: 2, generation: "random", evictions: 2, ends: 1},
	{name: "generation, a commit visible after it is in the log", stale: true, commits: 1, readers: 1, gap: true, generation: "random"},
	{name: "generation, the same, deleted again once visible", commits: 2, readers: 2, gap: true, again: true, generation: "random", evictions: 1},
	{name: "generation by a counter", stale: true, commits: 1, readers: 2, generation: "counter"},
}

func TestEveryOrderOfSteps(t *testing.T) {
	for _, v := range variants {
		states, bad := explore(v)
		t.Logf("%-60s %7d states, stale: %v", v.name, states, bad != nil)
		if (bad != nil) != v.stale {
			t.Errorf("%s: stale is %v, want %v: %+v", v.name, bad != nil, v.stale, bad)
		}
	}
}
