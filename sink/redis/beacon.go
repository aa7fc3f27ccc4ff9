package redis

import (
	"fmt"
	"strconv"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// BeaconKey is the key of the beacon of a pipeline.
func BeaconKey(installation, pipeline string) string {
	return "cdcd:beacon:" + installation + ":" + pipeline
}

// beaconVersion is the version of the layout of the hash.
const beaconVersion = "1"

// beacon is what a server says of the deletes it has. The zero beacon is none.
type beacon struct {
	// Mark is the name of the write that made it, different for every write: what
	// the next one is compared with.
	Mark             string
	Generation, Term uint64
	// Seq is the last transaction whose keys are deleted, Last the last one whose
	// keys need not be deleted again: what was lost is known by that.
	Seq, Last uint64
	// Resume is a checkpoint to go on from, at Last or a little before.
	Resume checkpoint.Checkpoint
	// Rules are those that its deletes follow.
	Rules []publishedRule
}

// beaconFields are the fields of the hash that parseBeacon wants, in order.
var beaconFields = []string{"v", "mark", "generation", "term", "seq", "last", "position", "keys"}

// parseBeacon reads the values of beaconFields; nil is a field that is not there.
func parseBeacon(values []any) (beacon, error) {
	text := make([]string, len(beaconFields))
	some := false
	for i := range text {
		if s, ok := values[i].(string); ok {
			text[i], some = s, true
		}
	}
	switch {
	case !some:
		return beacon{}, nil
	case text[0] != beaconVersion:
		return beacon{}, damagedBeacon("beacon_newer", fmt.Errorf("its version is %q, known is %s", text[0], beaconVersion),
			"run the version of cdcd that wrote it, or a later one")
	}
	b := beacon{Mark: text[1]}
	unrepeated := text[5] == "" // of a version that deleted once
	if unrepeated {
		text[5] = "0"
	}
	for i, n := range []*uint64{&b.Generation, &b.Term, &b.Seq, &b.Last} {
		var err error
		if *n, err = strconv.ParseUint(text[2+i], 10, 64); err != nil {
			return beacon{}, damagedBeacon("beacon_corrupt", fmt.Errorf("field %s: %w", beaconFields[2+i], err), hintDamaged)
		}
	}
	var err error
	if b.Resume, err = checkpoint.Decode([]byte(text[6])); err != nil {
		return beacon{}, damagedBeacon("beacon_corrupt", fmt.Errorf("field position: %w", err), hintDamaged)
	}
	if unrepeated {
		b.Last = b.Resume.Position.Seq
	}
	if b.Rules, err = readRules(text[7]); err != nil {
		return beacon{}, damagedBeacon("beacon_corrupt", fmt.Errorf("field keys: %w", err), hintDamaged)
	}
	if b.Mark == "" || b.Resume.Position.Seq > b.Last || b.Last > b.Seq {
		return beacon{}, damagedBeacon("beacon_corrupt", fmt.Errorf("mark %q, position at %d of %d of %d", b.Mark, b.Resume.Position.Seq, b.Last, b.Seq), hintDamaged)
	}
	return b, nil
}

const hintDamaged = "see who writes to that key; once it is deleted, on_gap decides what happens to the entries there are"

func damagedBeacon(code string, err error, hint string) error {
	return &resilience.Error{Class: resilience.Fatal, Code: code, Op: "read beacon", Err: err, Hint: hint}
}

// start is what a line begins with.
type start struct {
	cp      checkpoint.Checkpoint // zero: a first start
	gap     bool                  // there is no beacon: nothing is known of the entries there are
	rewound bool                  // Redis has lost deletes that were acknowledged
}

// decide finds the place to go on from: the lower of what the store and what the
// server holds. Numbers of transactions are those of the source's log whatever
// the generation, so they tell which is lower.
func decide(term uint64, cp checkpoint.Checkpoint, b beacon) (start, error) {
	if b.Mark == "" {
		return start{cp: cp, gap: true}, nil
	}
	if b.Term > term {
		return start{}, fencedBy(b.Term, term)
	}
	if cp.IsZero() {
		cp := b.Resume
		cp.Generation = b.Generation
		return start{cp: cp}, nil
	}
	if err := checkpoint.Verify(b.Resume, cp.Installation, cp.Pipeline); err != nil {
		return start{}, err
	}
	generation := max(cp.Generation, b.Generation)
	if b.Last >= cp.Position.Seq {
		cp.Generation = generation
		return start{cp: cp}, nil
	}
	back := b.Resume
	back.Generation, back.Sink = generation+1, nil
	back.Position.Marks = cp.Position.Marks
	return start{cp: back, rewound: true}, nil
}

func fencedBy(theirs, ours uint64) error {
	return resilience.Errorf(resilience.Fenced, "beacon_fenced", "write beacon", "a process of term %d has taken over, this is term %d", theirs, ours).
		WithHint("another process runs this pipeline; stop one of the two")
}

// encodeResume renders the position of a beacon. Marks, the state of snapshots,
// stay out: deleting has none.
func encodeResume(cp checkpoint.Checkpoint, pos event.Position) (string, error) {
	cp.Position, cp.Sink = pos, nil
	cp.Position.Marks = nil
	text, err := checkpoint.Encode(cp)
	return string(text), err
}
