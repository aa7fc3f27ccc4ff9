package testenv

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed java/Consume.java
var consumeSource []byte

// consumeLimit bounds Consume when its context has no earlier end.
const consumeLimit = 2 * time.Minute

// Isolation is what a reader may see of transactions.
type Isolation string

const (
	ReadCommitted   Isolation = "read_committed"
	ReadUncommitted Isolation = "read_uncommitted"
)

// ConsumeOptions says what to read. Every partition is read from its beginning.
type ConsumeOptions struct {
	// Topics to read, or Pattern, a Java regular expression that has to match whole names.
	Topics  []string
	Pattern string
	// Isolation defaults to ReadCommitted.
	Isolation Isolation
	// Count ends Consume after that many records, waiting for them; 0 ends it where the log ended when it began (for
	// ReadCommitted: at the last stable offset).
	Count int
}

// Record is a record as the Java consumer saw it. Key and Value are nil where they are null, empty where they are empty.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Timestamp int64 // milliseconds
	Headers   []Header
	Key       []byte
	Value     []byte
}

// Header is one header of a record; keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the value of the last header with that key, as Java's lastHeader does.
func (r Record) Header(key string) (value []byte, ok bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			value, ok = h.Value, true
		}
	}
	return value, ok
}

// UnmarshalJSON reads a line of Consume.java; header keys are base64 there because they may hold any bytes.
func (h *Header) UnmarshalJSON(data []byte) error {
	var line struct{ Key, Value []byte }
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	h.Key, h.Value = string(line.Key), line.Value
	return nil
}

// Consume reads with the Java consumer of the broker's own version. Within a partition records come in order.
func (k *Kafka) Consume(ctx context.Context, o ConsumeOptions) ([]Record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, consumeLimit, fmt.Errorf("not done after %v", consumeLimit))
	defer cancel()
	end := "end"
	if o.Count > 0 {
		end = strconv.Itoa(o.Count)
	}
	var records []Record
	for r, err := range k.read(ctx, o, end) {
		if err != nil {
			return records, fmt.Errorf("%w (%d records were read)", err, len(records))
		}
		records = append(records, r)
	}
	return records, nil
}

// Follow reads on until ctx ends or the loop is left, with topics that appear in the meantime; the end of ctx is not an error.
func (k *Kafka) Follow(ctx context.Context, o ConsumeOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range k.read(ctx, o, "follow") {
			if err != nil && ctx.Err() != nil {
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (k *Kafka) read(ctx context.Context, o ConsumeOptions, end string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		argv, err := k.consumeCommand(ctx, o, end)
		if err != nil {
			yield(Record{}, err)
			return
		}
		c, err := k.env.startConsumer(argv)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer c.stop()
		defer context.AfterFunc(ctx, c.kill)()
		for c.lines.Scan() {
			var r Record
			if err := json.Unmarshal(c.lines.Bytes(), &r); err != nil {
				yield(Record{}, fmt.Errorf("testenv: read a line of the Java consumer: %w", err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := c.finish(ctx); err != nil {
			yield(Record{}, err)
		}
	}
}

func (k *Kafka) consumeCommand(ctx context.Context, o ConsumeOptions, end string) ([]string, error) {
	if o.Isolation == "" {
		o.Isolation = ReadCommitted
	}
	if (len(o.Topics) == 0) == (o.Pattern == "") {
		return nil, errors.New("testenv: consume: give either Topics or Pattern")
	}
	classes, err := k.env.cache.consumerClasses(ctx, k.root)
	if err != nil {
		return nil, err
	}
	what := o.Topics
	if o.Pattern != "" {
		what = []string{"--pattern", o.Pattern}
	}
	argv, err := javaCommand(k.root, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m",
		"-Dlog4j2.level=WARN", "Consume", strings.Join(k.DirectAddrs(), ","), string(o.Isolation), end)
	if err != nil {
		return nil, err
	}
	argv[2] += string(os.PathListSeparator) + classes
	return append(argv, what...), nil
}

// consumerClasses compiles Consume.java once; the entry's name follows its text.
func (c *cache) consumerClasses(ctx context.Context, root string) (string, error) {
	name := fmt.Sprintf("%s-consume-%08x", filepath.Base(root), crc32.ChecksumIEEE(consumeSource))
	return c.entry(ctx, name, func(ctx context.Context, dir string) error {
		javac, err := need("javac", "the reader of the proofs is compiled on the spot; install the package default-jdk-headless")
		if err != nil {
			return err
		}
		source := filepath.Join(dir, "Consume.java")
		if err := os.WriteFile(source, consumeSource, 0o644); err != nil {
			return err
		}
		return run(ctx, dir, nil, javac, "-cp", filepath.Join(root, "libs/*"), "-d", dir, source)
	})
}

// consumer is a running Consume.java.
type consumer struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
	stderr bytes.Buffer
	waited bool
}

func (e *Env) startConsumer(argv []string) (*consumer, error) {
	c := &consumer{cmd: exec.Command(argv[0], argv[1:]...)}
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdin, c.lines = stdin, bufio.NewScanner(stdout)
	c.lines.Buffer(make([]byte, 1<<20), 512<<20) // a record may be as large as the broker's limit, and half more in base64
	if err := e.spawn.start(c.cmd); err != nil {
		return nil, fmt.Errorf("testenv: start the Java consumer: %w", err)
	}
	return c, nil
}

func (c *consumer) kill() { c.cmd.Process.Kill() }

// finish is called when the output has ended: the exit status tells whether all of it was there.
func (c *consumer) finish(ctx context.Context) error {
	scanErr := c.lines.Err()
	if scanErr != nil {
		c.kill()
	}
	c.waited = true
	err := errors.Join(scanErr, c.cmd.Wait())
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("testenv: Java consumer: %w; it said:\n%s", err, lastLines(c.stderr.String(), 15))
	}
	return nil
}

// stop ends a consumer that is left early.
func (c *consumer) stop() {
	if !c.waited {
		c.kill()
		c.cmd.Wait()
	}
}
