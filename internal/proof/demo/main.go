// Command demo is `make demo`: a real database has rows and gets writes, a real
// broker receives both as Debezium JSON, the daemon is killed with SIGKILL while
// that goes on, and the Java consumer that ships with the broker checks that
// nothing was lost, torn or doubled. It ends by itself about a minute after
// set-up, with a status other than 0 if what it shows is not true.
//
// DEMO=mariadb uses MariaDB; KEEP=1 leaves everything running until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/internal/proof"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

const (
	rowsBefore = 200_000
	writeFor   = 30 * time.Second
	killFirst  = 3 * time.Second // while rows are read
	killEvery  = 7 * time.Second
	limit      = 4 * time.Minute // of everything after set-up
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\ndemo interrupted; servers and daemon are stopped")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "cdcd-demo")
	if err != nil {
		return err
	}
	env, err := testenv.Open(dir, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close(), os.RemoveAll(dir)) }()
	say("Setting up: a database and a broker (the first time they are downloaded)")
	r, err := proof.NewRig(ctx, env, dir, options())
	if err != nil {
		return err
	}
	defer r.Close()
	if err := show(ctx, r); err != nil {
		return err
	}
	if os.Getenv("KEEP") != "" {
		return keep(ctx, r)
	}
	return nil
}

// options slow the reading of tables down: else it is over before the first kill.
func options() proof.RigOptions {
	o := proof.RigOptions{Flavor: testenv.MySQL97, Pipeline: fmt.Sprintf(", snapshot: {mode: initial, chunk_rows: 2000, max_rows_per_second: %d}", rowsBefore/8)}
	if os.Getenv("DEMO") == "mariadb" {
		o.Flavor = testenv.MariaDB118
	}
	return o
}

func show(ctx context.Context, r *proof.Rig) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fmt.Printf("  database  %s at %s\n  broker    Kafka at %s\n  config    %s\n", r.DB.Flavor(), r.DB.Addr(), r.Kafka.Bootstrap(), r.Daemon.Config)

	say(fmt.Sprintf("The table accounts gets %d rows: they are there before cdcd", rowsBefore))
	if err := r.Load.Fill(ctx, rowsBefore); err != nil {
		return err
	}
	say("cdcd run " + r.Daemon.Config)
	if err := r.Daemon.Start(); err != nil {
		return err
	}
	if err := r.AwaitState(ctx, "running"); err != nil {
		return err
	}
	say(fmt.Sprintf("Four writers change rows for %s while the table is read; the daemon is killed with SIGKILL every %s", writeFor, killEvery))
	if err := writeAndKill(ctx, r); err != nil {
		return err
	}
	if err := r.AwaitSnapshot(ctx); err != nil {
		return err
	}
	if err := r.AwaitCaughtUp(ctx); err != nil {
		return err
	}
	return verdict(ctx, r)
}

// writeAndKill writes, kills and starts again, and prints what goes on.
func writeAndKill(ctx context.Context, r *proof.Rig) error {
	r.Load.DDL, r.Load.BigRows = true, 5000
	writing, stopWriting := context.WithTimeout(ctx, writeFor)
	defer stopWriting()
	wrote := make(chan error, 1)
	go func() { wrote <- r.Load.Run(writing, 0) }()
	second, kill := time.NewTicker(time.Second), time.NewTicker(killFirst)
	defer second.Stop()
	defer kill.Stop()
	for {
		select {
		case err := <-wrote:
			if ctx.Err() == nil {
				return err
			}
			return ctx.Err()
		case <-second.C:
			progress(ctx, r)
		case <-kill.C:
			kill.Reset(killEvery)
			pid := r.Daemon.Pid()
			r.Daemon.Kill()
			if err := r.Daemon.Start(); err != nil {
				return err
			}
			fmt.Printf("  kill -9 %d, started again as %d\n", pid, r.Daemon.Pid())
		}
	}
}

func progress(ctx context.Context, r *proof.Rig) {
	p, err := r.Pipeline(ctx)
	if err != nil {
		fmt.Printf("  %6d transactions written, the daemon is starting\n", len(r.Load.Ledger()))
		return
	}
	fmt.Printf("  %6d transactions written, %s, %d delivered, at %s:%d\n", len(r.Load.Ledger()), p.State, p.Seq, p.File, p.Offset)
	for _, t := range p.Snapshot {
		if t.Reading {
			bars(ctx, r)
			return
		}
	}
}

// bars prints what the daemon's own command shows of the tables that are read.
func bars(ctx context.Context, r *proof.Rig) {
	out, err := exec.CommandContext(ctx, r.Daemon.Bin, "snapshot", "list", "--socket", r.Socket).Output()
	if err != nil {
		return // it was killed meanwhile
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "░") && !strings.Contains(line, "waiting") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), ", waits: ") // for the rate above, mostly
			fmt.Println("   ", line)
		}
	}
}

// verdict lets the independent reader look.
func verdict(ctx context.Context, r *proof.Rig) error {
	say("The Java consumer (isolation.level=read_committed) reads everything back")
	j, err := r.Judge(ctx, true)
	if err != nil {
		return err
	}
	fmt.Printf("  %d records in the topics: %d rows that were read, %d row changes of %d transactions, those around DDL included\n",
		j.Records, j.Read, j.Changes-j.Read, j.Transactions)
	fmt.Printf("  the writers' own ledger: %d committed, %d rolled back, %d cut off in the middle\n", j.Committed, j.RolledBack, j.Unknown)
	if j.Committed == 0 || j.Transactions == 0 || j.Read == 0 {
		return errors.New("nothing was written or nothing was read: that proves nothing")
	}
	if len(j.Violations) > 0 {
		for _, v := range j.Violations[:min(len(j.Violations), 10)] {
			fmt.Println("  broken promise", v)
		}
		return fmt.Errorf("broken promises: %d", len(j.Violations))
	}
	fmt.Println("  every committed transaction arrived whole, in order and once; none that was rolled back did")
	fmt.Println("  rows that were read came once, and none after a newer change of it")
	fmt.Println("  the topics, folded by key, equal the tables")
	return sample(ctx, r)
}

// longText is a text in JSON too long to be looked at, and its beginning.
var longText = regexp.MustCompile(`"((?:[^"\\]|\\.){20})(?:[^"\\]|\\.){80,}"`)

// sample prints one record, as a consumer sees it.
func sample(ctx context.Context, r *proof.Rig) error {
	for rec, err := range r.Kafka.Follow(ctx, testenv.ConsumeOptions{Topics: []string{r.Topic("orders")}}) {
		if err != nil {
			return err
		}
		if rec.Value == nil {
			continue
		}
		say("One of them")
		fmt.Printf("  %s partition %d offset %d\n", rec.Topic, rec.Partition, rec.Offset)
		for _, h := range rec.Headers {
			fmt.Printf("  header  %s = %s\n", h.Key, h.Value)
		}
		fmt.Printf("  key     %s\n  value   %s\n", rec.Key, longText.ReplaceAll(rec.Value, []byte(`"$1…"`)))
		return nil
	}
	return errors.New("no record in the topic of orders")
}

func keep(ctx context.Context, r *proof.Rig) error {
	say("KEEP: everything goes on running until Ctrl-C")
	fmt.Printf("  write     %s\n", shell(r.DB))
	fmt.Printf("  status    %s status --watch --socket %s\n", r.Daemon.Bin, r.Socket)
	fmt.Printf("  tail      %s tail mysql://%s@%s/ (the password is %s)\n", r.Daemon.Bin, testenv.RootUser, r.DB.Addr(), testenv.RootPassword)
	<-ctx.Done()
	return nil
}

func shell(db *testenv.MySQL) string {
	argv, err := db.Command("mysql", "-h127.0.0.1", fmt.Sprintf("-P%d", db.Port()), "-u"+testenv.RootUser, "-p"+testenv.RootPassword, "shop")
	if err != nil {
		return err.Error()
	}
	s := ""
	for _, a := range argv {
		s += a + " "
	}
	return s
}

func say(text string) { fmt.Println("\n== " + text) }
