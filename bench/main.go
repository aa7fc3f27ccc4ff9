package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/cdcd-io/cdcd/internal/testenv"
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
	if len(os.Args) == 3 && os.Args[1] == childVerb {
		return child(ctx, os.Args[2])
	}
	var o options
	flag.Float64Var(&o.scale, "scale", 1, "size of the reference log: 1 is a million bulk rows and 100,000 small transactions")
	flag.StringVar(&o.only, "only", "", "one measurement by name instead of all")
	flag.IntVar(&o.repeat, "repeat", 1, "make each measurement so often")
	flag.Float64Var(&o.giant, "giant", 0, "measure one transaction of so many GiB too")
	flag.BoolVar(&o.maria, "mariadb", false, "measure beside MariaDB instead of MySQL")
	flag.StringVar(&o.profile, "profile", "", "folder for CPU profiles")
	flag.Parse()
	return parent(ctx, o)
}

type options struct {
	maria         bool
	scale, giant  float64
	repeat        int
	only, profile string
}

// wants reports whether the measurement is to be made. A ratio needs its yardstick too.
func (o *options) wants(name string) bool {
	return o.only == "" || o.only == name || name == selectAll && strings.HasPrefix(o.only, "snapshot ")
}

// measurements in the order they are made; the first two are the yardstick.
var measurements = []struct {
	name string
	run  func(context.Context, target) (counts, error)
}{
	{"go-mysql framing", func(ctx context.Context, t target) (counts, error) { return goMySQL(ctx, t, false) }},
	{"go-mysql decoding", func(ctx context.Context, t target) (counts, error) { return goMySQL(ctx, t, true) }},
	{selectAll, goMySQLSelect},
	{"cdcd to nowhere", func(ctx context.Context, t target) (counts, error) { return cdcd(ctx, t, &discard{}) }},
	{"cdcd to file", toFile},
	{"cdcd to Kafka, exactly once", exactlyOnce},
	{"cdcd to Kafka, at least once", atLeastOnce},
}

func parent(ctx context.Context, o options) error {
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
	s, err := startServers(ctx, env, o.maria)
	if err != nil {
		return err
	}
	t, err := s.target(dir)
	if err != nil {
		return err
	}
	if err := s.writeLog(ctx, &t, o.scale); err != nil {
		return err
	}
	if err := warmUp(t); err != nil {
		return err
	}
	t.Profile = o.profile
	return measureAll(ctx, s, t, &o)
}

// warmUp runs the log into Kafka once without counting: a broker that has just
// been started compiles its code and creates its topics meanwhile, and takes
// several times as long.
func warmUp(t target) error {
	r, err := measure("cdcd to Kafka, exactly once", t)
	if err == nil {
		fmt.Fprintf(os.Stderr, "first run into a cold broker, not counted: %.1f s\n", r.Seconds)
	}
	return err
}

func measureAll(ctx context.Context, s *servers, t target, o *options) error {
	out := json.NewEncoder(os.Stdout)
	if err := measureThroughput(t, o, out); err != nil {
		return err
	}
	if err := measureSnapshots(ctx, t, o, out); err != nil {
		return err
	}
	for _, l := range latencies {
		for i := 0; i < o.repeat && o.wants(l.name); i++ {
			l.table = fmt.Sprintf("latency_%d", time.Now().UnixNano()) // and so a topic of its own
			r, err := l.run(ctx, s, t)
			if err != nil {
				return err
			}
			if err := out.Encode(r); err != nil {
				return err
			}
		}
	}
	if o.giant == 0 {
		return nil
	}
	r, err := giant(ctx, s, t, int64(o.giant*(1<<30)))
	if err != nil {
		return err
	}
	return out.Encode(r)
}

func measureThroughput(t target, o *options, out *json.Encoder) error {
	var framing, decoding result
	for _, m := range measurements {
		for i := 0; i < o.repeat && o.wants(m.name) && m.name != selectAll; i++ {
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
	}
	return nil
}
