package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cdcd-io/cdcd/checkpoint"
	"github.com/cdcd-io/cdcd/internal/testenv"
	"github.com/cdcd-io/cdcd/source/mysql"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == "measure" {
		return child(ctx, os.Args[2])
	}
	scale := flag.Float64("scale", 1, "size of the reference log: 1 is a million bulk rows and 100,000 small transactions")
	only := flag.String("only", "", "one measurement by name instead of all")
	profile := flag.String("profile", "", "folder for CPU profiles of cdcd's measurements")
	flag.Parse()
	return parent(ctx, *scale, *only, *profile)
}

// measurements in the order they are made; the first two are the yardstick.
var measurements = []struct {
	name string
	run  func(context.Context, target) (counts, error)
}{
	{"go-mysql framing", func(ctx context.Context, t target) (counts, error) { return goMySQL(ctx, t, false) }},
	{"go-mysql decoding", func(ctx context.Context, t target) (counts, error) { return goMySQL(ctx, t, true) }},
	{"cdcd to nowhere", func(ctx context.Context, t target) (counts, error) { return cdcd(ctx, t, &discard{}) }},
	{"cdcd to file", toFile},
	{"cdcd to Kafka, exactly once", func(ctx context.Context, t target) (counts, error) { return toKafka(ctx, t, "exactly_once") }},
	{"cdcd to Kafka, at least once", func(ctx context.Context, t target) (counts, error) { return toKafka(ctx, t, "at_least_once") }},
}

// child makes one measurement and prints what it went through.
func child(ctx context.Context, name string) error {
	var t target
	if err := json.Unmarshal([]byte(os.Getenv("CDCD_BENCH_TARGET")), &t); err != nil {
		return err
	}
	for _, m := range measurements {
		if m.name == name {
			stop, err := startProfile(t.Profile, name)
			if err != nil {
				return err
			}
			c, err := m.run(ctx, t)
			stop()
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(c)
		}
	}
	return fmt.Errorf("no measurement is called %q", name)
}

func parent(ctx context.Context, scale float64, only, profile string) error {
	dir, err := os.MkdirTemp("", "cdcd-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := testenv.Open(dir, os.Stderr)
	if err != nil {
		return err
	}
	defer env.Close()
	t, err := prepare(ctx, env, dir, scale)
	if err != nil {
		return err
	}
	t.Profile = profile
	return measureAll(t, only)
}

func measureAll(t target, only string) error {
	out := json.NewEncoder(os.Stdout)
	var framing, decoding result
	for _, m := range measurements {
		if only != "" && m.name != only {
			continue
		}
		r, err := measure(m.name, t)
		if err != nil {
			return err
		}
		switch m.name {
		case "go-mysql framing":
			framing = r
		case "go-mysql decoding":
			decoding = r
		}
		if framing.Seconds > 0 {
			r.RatioToFraming = r.Seconds / framing.Seconds
		}
		if decoding.CPUSeconds > 0 {
			r.RatioToDecoding = r.CPUSeconds / decoding.CPUSeconds
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// prepare starts the servers, writes the reference log and says where it lies.
func prepare(ctx context.Context, env *testenv.Env, dir string, scale float64) (target, error) {
	var t target
	db, err := env.MySQL(ctx, testenv.MySQLOptions{Config: map[string]string{"max_binlog_size": "1G", "innodb_buffer_pool_size": "1G"}})
	if err != nil {
		return t, err
	}
	broker, err := env.Kafka(ctx, testenv.KafkaOptions{HeapMB: 1024})
	if err != nil {
		return t, err
	}
	host, port, err := net.SplitHostPort(db.Addr())
	if err != nil {
		return t, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return t, err
	}
	t = target{Flavor: db.Flavor().String(), Host: host, Port: uint16(n), User: testenv.ReaderUser, Password: testenv.ReaderPassword, Kafka: broker.Bootstrap(), Dir: dir}
	if err := t.markStart(ctx); err != nil {
		return t, err
	}
	began := time.Now()
	l := load{addr: db.Addr(), user: testenv.RootUser, password: testenv.RootPassword, bulkRows: int(1e6 * scale), smallTx: int(1e5 * scale)}
	if err := l.run(ctx); err != nil {
		return t, fmt.Errorf("write the reference log: %w", err)
	}
	fmt.Fprintf(os.Stderr, "reference log written in %s\n", time.Since(began).Round(time.Second))
	return t, t.markEnd(ctx, db)
}

func (t *target) source() *mysql.Source {
	cfg := mysql.DefaultConfig()
	cfg.Hosts, cfg.User, cfg.Password = []string{net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))}, t.User, t.Password
	cfg.Tables.Include = []string{"sbtest.*"}
	return mysql.New(cfg, "bench", "bench")
}

func (t *target) markStart(ctx context.Context) error {
	pos, err := t.source().Start(ctx)
	if err != nil {
		return err
	}
	t.StartFile, t.StartOffset = pos.File.Name, pos.Offset
	t.Checkpoint, err = checkpoint.Encode(checkpoint.Checkpoint{
		Installation: "bench", Pipeline: "bench", Generation: 1, Term: 1, Position: pos, Saved: time.Now(),
	})
	return err
}

// markEnd notes where the log ends, once nobody writes any more.
func (t *target) markEnd(ctx context.Context, db *testenv.MySQL) error {
	rows, err := db.Query(ctx, "SHOW BINARY LOG STATUS")
	if err != nil {
		return err
	}
	pos, err := t.source().Start(ctx)
	if err != nil {
		return err
	}
	t.EndFile, t.EndGTIDs = *rows[0][0], pos.GTIDs.String()
	t.EndOffset, err = strconv.ParseUint(*rows[0][1], 10, 64)
	return err
}

func startProfile(dir, name string) (func(), error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, fileName(name)+".pprof"))
	if err != nil {
		return nil, err
	}
	return profileTo(f)
}
