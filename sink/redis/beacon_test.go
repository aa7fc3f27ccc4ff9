package redis

import (
	"testing"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

// at is a checkpoint; its offset tells which one was taken.
func at(generation, seq, offset uint64) checkpoint.Checkpoint {
	return checkpoint.Checkpoint{
		Installation: "i", Pipeline: "p", Generation: generation, Term: 1,
		Position: event.Position{
			Flavor: event.MySQL, Server: "s", File: event.LogFile{Name: "binlog.000001"}, Offset: offset, Seq: seq,
			GTIDs: event.NewGTIDSet(event.MySQL),
		},
	}
}

func left(generation, term, seq uint64, resume checkpoint.Checkpoint) beacon {
	return beacon{Mark: "m", Generation: generation, Term: term, Seq: seq, Last: seq, Resume: resume}
}

func TestDecide(t *testing.T) {
	none := checkpoint.Checkpoint{}
	foreign := at(1, 4, 40)
	foreign.Pipeline = "other"
	for name, c := range map[string]struct {
		cp          checkpoint.Checkpoint
		b           beacon
		seq, offset uint64
		generation  uint64
		gap, back   bool
		code        string
	}{
		"first start":                         {cp: none, gap: true},
		"a lost checkpoint":                   {cp: none, b: left(3, 4, 9, at(1, 8, 80)), seq: 8, offset: 80, generation: 3},
		"the checkpoint is behind, as always": {cp: at(1, 5, 50), b: left(1, 4, 9, at(1, 8, 80)), seq: 5, offset: 50, generation: 1},
		"both are the same":                   {cp: at(1, 9, 90), b: left(1, 4, 9, at(1, 8, 80)), seq: 9, offset: 90, generation: 1},
		"Redis lost deletes":                  {cp: at(1, 10, 100), b: left(1, 4, 9, at(1, 8, 80)), seq: 8, offset: 80, generation: 2, back: true},
		"and lost those of a rewind":          {cp: at(2, 10, 100), b: left(1, 4, 9, at(1, 8, 80)), seq: 8, offset: 80, generation: 3, back: true},
		"a rewind that was not stored":        {cp: at(1, 10, 100), b: left(2, 4, 9, at(2, 8, 80)), seq: 8, offset: 80, generation: 3, back: true},
		"a rewind with the beacon far ahead":  {cp: at(2, 5, 50), b: left(1, 4, 9, at(1, 8, 80)), seq: 5, offset: 50, generation: 2},
		"Redis lost repeated deletes":         {cp: at(1, 9, 90), b: beacon{Mark: "m", Generation: 1, Term: 4, Seq: 12, Last: 8, Resume: at(1, 7, 70)}, seq: 7, offset: 70, generation: 2, back: true},
		"deletes to repeat":                   {cp: at(1, 8, 80), b: beacon{Mark: "m", Generation: 1, Term: 4, Seq: 12, Last: 8, Resume: at(1, 7, 70)}, seq: 8, offset: 80, generation: 1},
		"no beacon":                           {cp: at(1, 5, 50), seq: 5, offset: 50, generation: 1, gap: true},
		"a later term":                        {cp: at(1, 5, 50), b: left(1, 6, 9, at(1, 8, 80)), code: "beacon_fenced"},
		"our own term":                        {cp: at(1, 5, 50), b: left(1, 5, 9, at(1, 8, 80)), seq: 5, offset: 50, generation: 1},
		"somebody else's beacon":              {cp: at(1, 5, 50), b: left(1, 4, 9, foreign), code: "checkpoint_foreign"},
	} {
		got, err := decide(5, c.cp, c.b)
		if resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		p := got.cp.Position
		if got.gap != c.gap || got.rewound != c.back || p.Seq != c.seq || p.Offset != c.offset || got.cp.Generation != c.generation {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRewindKeepsSnapshots: their state is not in the beacon.
func TestRewindKeepsSnapshots(t *testing.T) {
	cp := at(1, 10, 100)
	cp.Position.Marks = map[string][]byte{"snapshot": []byte("x")}
	got, err := decide(5, cp, left(1, 4, 9, at(1, 8, 80)))
	if err != nil || string(got.cp.Position.Marks["snapshot"]) != "x" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseBeacon(t *testing.T) {
	text, err := encodeResume(at(2, 8, 80), at(2, 8, 80).Position)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		values []any
		code   string
	}{
		"whole":             {[]any{"1", "m", "2", "3", "9", "8", text, `[{"table":"shop.users","key":"user:{id}"}]`}, ""},
		"none":              {make([]any, 8), ""},
		"later version":     {[]any{"2", "m", "2", "3", "9", "8", text, `[{"table":"shop.users","key":"user:{id}"}]`}, "beacon_newer"},
		"half":              {[]any{"1", "m", nil, nil, nil, nil, nil, nil}, "beacon_corrupt"},
		"no number":         {[]any{"1", "m", "2", "3", "-9", "8", text, `[{"table":"shop.users","key":"user:{id}"}]`}, "beacon_corrupt"},
		"damaged position":  {[]any{"1", "m", "2", "3", "9", "8", text[1:], nil}, "beacon_corrupt"},
		"position past seq": {[]any{"1", "m", "2", "3", "9", "7", text, `[{"table":"shop.users","key":"user:{id}"}]`}, "beacon_corrupt"},
		"damaged rules":     {[]any{"1", "m", "2", "3", "9", "8", text, "x"}, "beacon_corrupt"},
		"last past seq":     {[]any{"1", "m", "2", "3", "9", "10", text, nil}, "beacon_corrupt"},
		"of deletes once":   {[]any{"1", "m", "2", "3", "9", nil, text, nil}, ""},
		"no mark":           {[]any{"1", "", "2", "3", "9", "8", text, `[{"table":"shop.users","key":"user:{id}"}]`}, "beacon_corrupt"},
	} {
		b, err := parseBeacon(c.values)
		if resilience.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		if name == "whole" && (b.Seq != 9 || b.Last != 8 || b.Term != 3 || b.Generation != 2 || b.Resume.Position.Offset != 80 || len(b.Rules) != 1) {
			t.Errorf("%+v", b)
		}
	}
}
