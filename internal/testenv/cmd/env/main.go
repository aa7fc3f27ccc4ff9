// Command env starts the real servers of the tests for a person: MySQL, MariaDB, Kafka, Redis and Valkey on 127.0.0.1, gone at
// Ctrl-C.
//
// It owns nothing but the command line; installing and starting is package testenv.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

const usage = `env starts the servers that cdcd is tested with, for you to play with.

  go run ./internal/testenv/cmd/env up [server...]        start (all of them if none is named), stay until Ctrl-C
  go run ./internal/testenv/cmd/env install [server...]   only download and prepare, say for a machine image

The servers are mysql, mariadb, kafka, redis, valkey.

Servers are downloaded once (Kafka by Maven, the others from Debian; about 180 MB) and kept in the folder that
CDCD_TESTENV_CACHE names, by default cdcd-testenv in your cache directory. Nothing else on the machine is touched. Data lives in a
temporary folder (or the one given with -dir, which is then kept) and listens on 127.0.0.1 only.

A first round, in a second terminal, with the commands that "up" prints:
  1. make a table:          the line that begins with "client", then CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY);
  2. look at its binlog:    SHOW BINARY LOGS; SHOW BINLOG EVENTS;
  3. read a topic:          the line that begins with "read"
  4. watch a cache:         the line that begins with "watch", for redis or valkey

Exit codes: 0 done or interrupted, 1 a server could not be had or started, 2 wrong usage.
`

var kinds = []string{"mysql", "mariadb", "kafka", "redis", "valkey"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("env", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	if len(args) == 0 {
		flags.Usage()
		return 2
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	dir := flags.String("dir", "", "keep data and logs in this folder")
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	wanted, err := servers(flags.Args())
	if err == nil && args[0] != "up" && args[0] != "install" {
		err = fmt.Errorf("there is no %q; say up or install", args[0])
	}
	if err != nil {
		fmt.Fprintf(stderr, "env: %v (env --help shows how)\n", err)
		return 2
	}
	if err := serve(ctx, args[0] == "up", *dir, wanted, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "env: %v\n", err)
		return 1
	}
	return 0
}

func servers(names []string) ([]string, error) {
	for _, name := range names {
		if !slices.Contains(kinds, name) {
			return nil, fmt.Errorf("there is no server %q; the servers are %s", name, strings.Join(kinds, ", "))
		}
	}
	if len(names) == 0 {
		return kinds, nil
	}
	return names, nil
}

// serve installs, and with up starts and waits for the end.
func serve(ctx context.Context, up bool, dir string, wanted []string, stdout, stderr io.Writer) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "cdcd-env-"); err != nil {
			return fmt.Errorf("make a folder for the data: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	env, err := testenv.Open(dir, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	for _, name := range wanted {
		if err := one(ctx, env, up, name, stdout); err != nil {
			return err
		}
	}
	if !up {
		return nil
	}
	fmt.Fprintf(stdout, "\nData and logs are in %s. Ctrl-C ends all.\n", dir)
	<-ctx.Done()
	fmt.Fprintln(stdout, "stopping")
	return nil
}

func one(ctx context.Context, env *testenv.Env, up bool, name string, stdout io.Writer) error {
	switch {
	case !up:
		return env.Install(ctx, name)
	case name == "kafka":
		k, err := env.Kafka(ctx, testenv.KafkaOptions{})
		if err != nil {
			return err
		}
		return printKafka(stdout, k)
	case name == "redis", name == "valkey":
		r, err := env.Redis(ctx, testenv.RedisOptions{Flavor: cacheFlavor(name), AppendOnly: true})
		if err != nil {
			return err
		}
		return printRedis(stdout, name, r)
	}
	m, err := env.MySQL(ctx, testenv.MySQLOptions{Flavor: flavor(name)})
	if err != nil {
		return err
	}
	return printMySQL(stdout, name, m)
}

func flavor(name string) testenv.Flavor {
	if name == "mariadb" {
		return testenv.MariaDB118
	}
	return testenv.MySQL97
}

func cacheFlavor(name string) testenv.RedisFlavor {
	if name == "valkey" {
		return testenv.Valkey81
	}
	return testenv.Redis70
}

func printRedis(w io.Writer, name string, r *testenv.Redis) error {
	_, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		return err
	}
	client, err := r.Command("cli", "-p", port)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s on %s (no login)\n", name, r.Addr())
	fmt.Fprintf(w, "  client    %s\n", strings.Join(client, " "))
	fmt.Fprintf(w, "  watch     %s MONITOR\n", strings.Join(client, " "))
	fmt.Fprintf(w, "  log       %s\n", r.LogPath())
	return nil
}

func printMySQL(w io.Writer, name string, m *testenv.MySQL) error {
	client, err := m.Command(name, "-h127.0.0.1", fmt.Sprintf("-P%d", m.Port()), "-u"+testenv.RootUser, "-p"+testenv.RootPassword)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s on %s\n", name, m.Addr())
	fmt.Fprintf(w, "  accounts  %s / %s (everything), %s / %s (what cdcd needs)\n",
		testenv.RootUser, testenv.RootPassword, testenv.ReaderUser, testenv.ReaderPassword)
	fmt.Fprintf(w, "  client    %s\n", strings.Join(client, " "))
	fmt.Fprintf(w, "  log       %s\n", m.LogPath())
	return nil
}

func printKafka(w io.Writer, k *testenv.Kafka) error {
	topics, err := k.Command("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.Bootstrap(), "--create", "--topic", "shop")
	if err != nil {
		return err
	}
	read, err := k.Command("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", k.Bootstrap(),
		"--isolation-level", "read_committed", "--from-beginning", "--topic", "shop")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nkafka on %s (topics are made by hand)\n", k.Bootstrap())
	fmt.Fprintf(w, "  topic     %s\n", quote(topics))
	fmt.Fprintf(w, "  read      %s\n", quote(read))
	fmt.Fprintf(w, "  log       %s\n", k.Broker(0).LogPath())
	return nil
}

// quote keeps the shell from expanding the class path.
func quote(argv []string) string {
	quoted := slices.Clone(argv)
	for i, a := range quoted {
		if strings.ContainsAny(a, "* ") {
			quoted[i] = "'" + a + "'"
		}
	}
	return strings.Join(quoted, " ")
}
