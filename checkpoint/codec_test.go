package checkpoint

import (
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/resilience"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample(t testing.TB) Checkpoint {
	t.Helper()
	set, err := event.ParseGTIDSet(event.MySQL, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:nightly:1-2")
	if err != nil {
		t.Fatal(err)
	}
	return Checkpoint{
		Installation: "cdcd", Pipeline: "shop-events", Generation: 2, Term: math.MaxUint64,
		Position: event.Position{
			Flavor: event.MySQL, Server: "3e11fa47-71ca-11e1-9e33-c80aa9429562",
			File:   event.LogFile{Name: "binlog.000007", StampTime: 1767225600, StampServer: 31},
			Offset: math.MaxUint64 - 1, GTIDs: set, Seq: 1<<53 + 1,
			Prepared: []event.PreparedXA{{XID: "X'61',X'',1", GTID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:6", File: "binlog.000006", Offset: 1 << 60}},
		},
		Sink:  []byte(`{"file":"out.jsonl","bytes":12}`),
		Saved: time.Date(2026, 1, 1, 12, 0, 0, 123456789, time.UTC),
	}
}

// partSample is in the middle of a transaction.
func partSample(t testing.TB) Checkpoint {
	c := sample(t)
	c.Position.Partial = event.Partial{Rows: 1<<53 + 3, Tx: "3e11fa47-71ca-11e1-9e33-c80aa9429562:8", Print: math.MaxUint64}
	return c
}

func encode(t testing.TB, c Checkpoint) []byte {
	t.Helper()
	b, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodedFormIsStable(t *testing.T) {
	for golden, c := range map[string]Checkpoint{
		"testdata/v1.checkpoint": sample(t),
		"testdata/v2.checkpoint": partSample(t),
	} {
		b := encode(t, c)
		if *update {
			if err := os.WriteFile(golden, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(b) {
			t.Errorf("got:\n%s\nwant:\n%s", b, want)
		}
		// What earlier releases wrote must read for ever.
		if got, err := Decode(want); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("decoded %+v, %v", got, err)
		}
	}
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	full := sample(t)
	binary := full
	binary.Sink = []byte{0xff, 0, 1}
	bare := Checkpoint{Pipeline: "p", Saved: full.Saved}
	maria := full
	maria.Position = event.Position{Flavor: event.MariaDB, Server: "server_id 3", GTIDs: event.NewGTIDSet(event.MariaDB)}
	for name, c := range map[string]Checkpoint{"full": full, "binary sink": binary, "bare": bare, "mariadb": maria, "part": partSample(t)} {
		got, err := Decode(encode(t, c))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c)
		}
	}
}

func TestEncodeRefusesWhatWouldNotReadBack(t *testing.T) {
	for name, change := range map[string]func(*Checkpoint){
		"zero":                  func(c *Checkpoint) { *c = Checkpoint{} },
		"text":                  func(c *Checkpoint) { c.Position.Server = "\xff" },
		"name of a transaction": func(c *Checkpoint) { c.Position.Partial = event.Partial{Rows: 1, Tx: "\xff"} },
		"rows of no name":       func(c *Checkpoint) { c.Position.Partial = event.Partial{Rows: 1} },
		"flavor":                func(c *Checkpoint) { c.Position.Flavor = 9 },
		"no gtids without flavor": func(c *Checkpoint) {
			c.Position.Flavor = 0
		},
	} {
		c := sample(t)
		change(&c)
		if _, err := Encode(c); resilience.CodeOf(err) != "checkpoint_invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := sample(t)
	c.Sink = []byte(strings.Repeat("x", MaxBytes))
	if _, err := Encode(c); resilience.CodeOf(err) != "checkpoint_too_large" || resilience.HintOf(err) == "" {
		t.Errorf("too large: %v", err)
	}
}

func TestEveryFlippedByteAndEveryCutIsCorrupt(t *testing.T) {
	good := encode(t, sample(t))
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1 << (i % 8)
		refused(t, bad, "checkpoint_corrupt", "byte %d flipped", i)
		refused(t, good[:i], "checkpoint_corrupt", "cut to %d bytes", i)
	}
	refused(t, append(good[:len(good):len(good)], '\n'), "checkpoint_corrupt", "a byte more")
}

func TestNewerVersionIsToldFromDamage(t *testing.T) {
	text := []byte(`{"whatever":"comes"}`)
	refused(t, fmt.Appendf(nil, "cdcd-checkpoint 3 %08x\n%s", checksum(3, text), text), "checkpoint_newer", "version 3")
	refused(t, fmt.Appendf(nil, "cdcd-checkpoint 3 %08x\n%s", checksum(1, text), text), "checkpoint_corrupt", "flipped version")
}

func TestValidChecksumOverBadContentIsCorrupt(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"pipeline":"p"}`, `{"pipeline":"p","unknown":1}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","flavor":"oracle"}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","flavor":"mysql","gtids":"nonsense"}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","offset":"18446744073709551616"}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z"} {}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","sink":"a","sink_bytes":"YQ=="}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","partial":{"rows":"7","transaction":"a:1","print":"9"}}`, // format 2 has that
	} {
		b := fmt.Appendf(nil, "cdcd-checkpoint 1 %08x\n%s", checksum(1, []byte(text)), text)
		refused(t, b, "checkpoint_corrupt", "%s", text)
	}
}

func TestWhatIsDoneInPartNeedsItsFormat(t *testing.T) {
	for _, text := range []string{
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z"}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","partial":{"rows":"0","transaction":"a:1","print":"9"}}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","partial":{"rows":"7","transaction":"","print":"9"}}`,
		`{"pipeline":"p","saved":"2026-01-01T00:00:00Z","partial":{}}`,
	} {
		b := fmt.Appendf(nil, "cdcd-checkpoint 2 %08x\n%s", checksum(2, []byte(text)), text)
		refused(t, b, "checkpoint_corrupt", "%s", text)
	}
}

func refused(t *testing.T, b []byte, code, format string, args ...any) {
	t.Helper()
	_, err := Decode(b)
	if resilience.CodeOf(err) != code || resilience.ClassOf(err) != resilience.Fatal || resilience.HintOf(err) == "" {
		t.Errorf("%s: got %v, want a fatal %s with a hint", fmt.Sprintf(format, args...), err, code)
	}
}

func FuzzDecode(f *testing.F) {
	good := encode(f, sample(f))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(encode(f, partSample(f)))
	f.Add([]byte("cdcd-checkpoint 9 00000000\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A right checksum lets the fuzzer get past the first line.
		signed := func(version uint64) []byte {
			return fmt.Appendf(nil, "cdcd-checkpoint %d %08x\n%s", version, checksum(version, b), b)
		}
		for _, b := range [][]byte{b, signed(1), signed(2)} {
			c, err := Decode(b)
			if err != nil {
				if resilience.ClassOf(err) != resilience.Fatal {
					t.Fatalf("%v is not fatal", err)
				}
				continue
			}
			again, err := Encode(c)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			if c2, err := Decode(again); err != nil || !reflect.DeepEqual(c, c2) {
				t.Fatalf("read %+v, wrote and read %+v, %v", c, c2, err)
			}
		}
	})
}
