// Command record is `make capture`: it records again what Debezium writes for the statements in
// format/debezium/testdata/capture, and says whether that is what the records there say. It starts MySQL, Kafka and, in Kafka
// Connect, Debezium, which are downloaded the first time; nothing else on the machine is touched.
//
// The new records go to a folder of their own: the tests of format/debezium know the transactions of the old ones by their
// GTIDs, so a person decides whether to take them over. The status is 1 if the two recordings differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cdcd-io/cdcd/internal/proof/capture"
	"github.com/cdcd-io/cdcd/internal/testenv"
)

// limit bounds one recording after set-up; shown bounds the differences that are printed.
const (
	limit = 5 * time.Minute
	shown = 10
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	in := flag.String("in", "format/debezium/testdata/capture", "folder with the statements and the records to compare with")
	out := flag.String("out", "bin/capture", "folder for the new records")
	flag.Parse()
	if err := run(ctx, *in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	plain, err := recordInto(ctx, in, filepath.Join(out, "plain.jsonl"), false)
	if err != nil {
		return err
	}
	framed, err := recordInto(ctx, in, filepath.Join(out, "schemas.jsonl"), true)
	if err != nil {
		return err
	}
	return errors.Join(
		verdict(filepath.Join(in, "plain.jsonl"), plain, capture.Differences),
		verdict(filepath.Join(in, "schemas.jsonl"), framed, capture.SchemaDifferences))
}

// recordInto records on servers of its own, so that both recordings begin with empty ones.
func recordInto(ctx context.Context, in, path string, schemas bool) (records []capture.Record, err error) {
	dir, err := os.MkdirTemp("", "cdcd-capture-")
	if err != nil {
		return nil, err
	}
	env, err := testenv.Open(dir, os.Stderr)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, env.Close())
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w\nlogs and data of the servers are kept in %s", err, dir)
		}
	}()
	records, err = record(ctx, env, in, schemas)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: %d records\n", path, len(records))
	return records, capture.Write(path, records)
}

func verdict(path string, got []capture.Record, differences func(want, got []capture.Record) []string) error {
	want, err := capture.Read(path)
	if err != nil {
		return err
	}
	found := differences(want, got)
	for i, d := range found {
		if i == shown {
			fmt.Printf("… and %d more\n", len(found)-shown)
			break
		}
		fmt.Println(d)
	}
	if len(found) > 0 {
		return fmt.Errorf("the new recording differs from %s in %d places", path, len(found))
	}
	fmt.Printf("%s says the same: %d records compared with %d\n", path, len(want), len(got))
	return nil
}
