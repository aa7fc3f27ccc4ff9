package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// verified is what cdcd verify prints.
type verified struct {
	Verdict string
	Tables  []struct {
		Table                     string
		Rows, Records             int
		Missing, Extra, Different int
		Differences               []struct {
			Kind, Key string
			Columns   []struct{ Name, Table, Topic string }
		}
		Problem *struct{ Code, Text string }
	}
}

// runVerify runs cdcd verify beside the daemon.
func (r *Rig) runVerify(ctx context.Context, t *testing.T, args ...string) (exit int, out, log []byte) {
	t.Helper()
	cmd := exec.CommandContext(ctx, r.Daemon.Bin, append([]string{"verify", "--json", r.Daemon.Config}, args...)...)
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(), r.Daemon.Env...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out, told.Bytes()
}

// verify returns what cdcd verify finds.
func (r *Rig) verify(ctx context.Context, t *testing.T, args ...string) (exit int, v verified) {
	t.Helper()
	exit, out, log := r.runVerify(ctx, t, args...)
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", exit, err, out, log)
	}
	return exit, v
}

// summary is what is compared with what a test wants: differences by table.
func (v *verified) summary() (s []string) {
	for _, t := range v.Tables {
		if t.Problem != nil {
			s = append(s, fmt.Sprintf("%s: %s", t.Table, t.Problem.Text))
		}
		for _, d := range t.Differences {
			line := fmt.Sprintf("%s %s %s", t.Table, d.Kind, d.Key)
			for _, c := range d.Columns {
				line += " " + c.Name
			}
			s = append(s, line)
		}
	}
	return s
}

// stillRead tells that a table's snapshot has not ended.
func (v *verified) stillRead() bool {
	for _, t := range v.Tables {
		if t.Problem != nil && strings.Contains(t.Problem.Text, "still being read") {
			return true
		}
	}
	return false
}

func wantVerified(t *testing.T, exit int, v verified, wantExit int, want ...string) {
	t.Helper()
	if got := v.summary(); exit != wantExit || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("exit code %d, found %q; want %d, %q", exit, got, wantExit, want)
	}
}

// planter writes records as somebody else would, each to the partition that has
// its key.
type planter struct {
	client *kafka.Client
	parts  map[string]int // by topic and key
}

func (r *Rig) planter(ctx context.Context, t *testing.T) *planter {
	t.Helper()
	recs, err := r.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := &planter{&kafka.Client{Addr: kafka.TCP(r.Kafka.Bootstrap()), Timeout: 20 * time.Second}, map[string]int{}}
	for _, rec := range recs {
		p.parts[rec.Topic+string(rec.Key)] = rec.Partition
	}
	return p
}

// plant writes a record; a nil value is a tombstone.
func (p *planter) plant(ctx context.Context, t *testing.T, topic, key string, value []byte) {
	t.Helper()
	rec := kafka.Record{Key: kafka.NewBytes([]byte(key)), Time: time.Now()}
	if value != nil {
		rec.Value = kafka.NewBytes(value)
	}
	res, err := p.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, Partition: p.parts[topic+key], RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(rec),
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// planted are the differences that all plants, as they are told.
var planted = []string{
	`shop.accounts different {"id":900001} owner balance`, `shop.accounts missing {"id":900002}`,
	`shop.accounts different {"id":900003} `, `shop.accounts extra {"id":900009}`, `shop.accounts extra {"no":"key"}`,
	`shop.orders missing {"region":"it's \"ä\"","n":7}`,
}

// TestVerify: under load, and behind Kafka transactions that were aborted,
// nothing is found that is not there; what another producer planted is found and
// named, and repaired where that can be.
func TestVerify(t *testing.T) {
	for _, flavor := range testenv.Flavors {
		t.Run(flavor.String(), func(t *testing.T) {
			r, ctx := snapshotRig(t, RigOptions{Flavor: flavor})
			r.Load.BigRows, r.Load.Pause = 0, 20*time.Millisecond
			r.mustExec(ctx, t, `USE shop; INSERT INTO accounts VALUES (900001,'a',1.25,'2026-01-02 03:04:05.000006',1),
				(900002,'b',2,'2026-01-02 03:04:05',1), (900003,'c',3,'2026-01-02 03:04:05',1), (900004,'d',4,'2026-01-02 03:04:05',1);
				INSERT INTO orders VALUES ('it''s "ä"',7,'paid','x',1)`)
			stop := r.writing(ctx, t)
			r.killedAt(t, "kafka.produce.after", 8)
			r.mustStart(t)
			r.mustFinish(ctx, t)
			exit, v := r.verify(ctx, t)
			for v.stillRead() { // stored a moment after it is told
				exit, v = r.verify(ctx, t)
			}
			wantVerified(t, exit, v, 0)
			if len(v.Tables) != len(mirrored) {
				t.Errorf("%d tables were verified: %+v", len(v.Tables), v)
			}
			p := r.planter(ctx, t)
			p.all(ctx, t, r)
			exit, v = r.verify(ctx, t, "shop-events")
			wantVerified(t, exit, v, 3, planted...)
			exit, v = r.verify(ctx, t, "--repair")
			wantVerified(t, exit, v, 3, planted[3], planted[4])
			stop()

			r.mustExec(ctx, t, `USE shop; INSERT INTO accounts VALUES (900009,'z',1,'2026-01-02 03:04:05',1); DELETE FROM accounts WHERE id = 900009`)
			r.mustExec(ctx, t, "TRUNCATE shop.scratch; FLUSH BINARY LOGS")
			exit, v = r.verify(ctx, t, "shop.accounts")
			wantVerified(t, exit, v, 3, planted[4])
			p.plant(ctx, t, r.Topic("accounts"), `{"no":"key"}`, nil)
			exit, v = r.verify(ctx, t)
			wantVerified(t, exit, v, 0)
			r.forgotten(ctx, t)
			if err := r.Daemon.Stop(ctx); err != nil {
				t.Error(err)
			}
			if exit, out, log := r.runVerify(ctx, t, "--repair"); exit != 4 || len(out) > 0 {
				t.Errorf("without a daemon: exit code %d\n%s%s", exit, out, log)
			}
		})
	}
}

// forgotten: a topic that lost its records is not judged before its table is
// read again.
func (r *Rig) forgotten(ctx context.Context, t *testing.T) {
	t.Helper()
	var parts []string
	for i := range 3 {
		parts = append(parts, fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":-1}`, r.Topic("accounts"), i))
	}
	file := filepath.Join(r.Dir, "delete.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"partitions":[`+strings.Join(parts, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	argv, err := r.Kafka.Command("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", r.Kafka.Bootstrap(), "--offset-json-file", file)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exit, v := r.verify(ctx, t, "shop.accounts")
	if p := v.Tables[0].Problem; exit != 1 || p == nil || p.Code != "topic_not_whole" {
		t.Errorf("exit code %d, %+v", exit, v)
	}
	r.snapshot(ctx, t, `{"verb":"start","tables":["shop.accounts"]}`)
	r.mustFinish(ctx, t)
	for exit, v = r.verify(ctx, t, "shop.accounts"); exit == 1; { // stored a moment after it is told
		exit, v = r.verify(ctx, t, "shop.accounts")
	}
	wantVerified(t, exit, v, 0)
}

// all alters, drops and adds records.
func (p *planter) all(ctx context.Context, t *testing.T, r *Rig) {
	t.Helper()
	accounts := r.Topic("accounts")
	p.plant(ctx, t, accounts, `{"id":900001}`,
		[]byte(`{"before":null, "after":{"ver":1,"id":900001,"owner":"mallory","balance":"1.26","opened":1767323045000006}, "op":"c"}`))
	p.plant(ctx, t, accounts, `{"id":900002}`, nil)
	p.plant(ctx, t, accounts, `{"id":900003}`, []byte("no change event"))
	p.plant(ctx, t, accounts, `{"id":900009}`, []byte(`{"before":null,"after":{"id":900009},"op":"c"}`))
	p.plant(ctx, t, accounts, `{"no":"key"}`, []byte(`{"before":null,"after":{"id":1},"op":"c"}`))
	p.plant(ctx, t, r.Topic("orders"), `{"region":"it's \"ä\"","n":7}`, []byte(`{"before":null,"after":null,"op":"d"}`))
}

func (r *Rig) mustExec(ctx context.Context, t *testing.T, sql string) {
	t.Helper()
	if err := r.DB.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
