package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// kcatFormat prints a record as a line of numbers, then key and value as they are; a length of -1 is null.
const kcatFormat = `%p %o %T %K %S\n%k%s`

// ConsumeKcat reads topics to their end with kcat, which stands on another client library than Consume: a second opinion on keys,
// values and offsets. Headers are left out, as kcat cannot print arbitrary bytes there. Pattern and Count are not supported.
func (k *Kafka) ConsumeKcat(ctx context.Context, o ConsumeOptions) ([]Record, error) {
	if o.Pattern != "" || o.Count != 0 || len(o.Topics) == 0 {
		return nil, errors.New("testenv: kcat: give Topics, and neither Pattern nor Count")
	}
	if o.Isolation == "" {
		o.Isolation = ReadCommitted
	}
	ctx, cancel := context.WithTimeoutCause(ctx, consumeLimit, fmt.Errorf("not done after %v", consumeLimit))
	defer cancel()
	root, err := k.env.cache.mariadbRoot(ctx) // kcat was installed beside MariaDB
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, topic := range o.Topics {
		records, err := k.kcat(ctx, root, topic, o.Isolation)
		if err != nil {
			return all, err
		}
		all = append(all, records...)
	}
	return all, nil
}

func (k *Kafka) kcat(ctx context.Context, root, topic string, isolation Isolation) ([]Record, error) {
	argv, err := debCommand(root, "usr/bin/kcat", "-C", "-q", "-u", "-e", "-o", "beginning", "-b", strings.Join(k.DirectAddrs(), ","),
		"-t", topic, "-X", "isolation.level="+string(isolation), "-f", kcatFormat)
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("testenv: read %s with kcat: %w; it said:\n%s", topic, err, lastLines(said.String(), 10))
	}
	records, err := parseKcat(&out, topic)
	if err != nil {
		return records, fmt.Errorf("testenv: read kcat's output for %s, record %d: %w", topic, len(records), err)
	}
	return records, nil
}

func parseKcat(r io.Reader, topic string) ([]Record, error) {
	in := bufio.NewReader(r)
	var records []Record
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		rec := Record{Topic: topic}
		var key, value int
		if _, err := fmt.Sscan(line, &rec.Partition, &rec.Offset, &rec.Timestamp, &key, &value); err != nil {
			return records, fmt.Errorf("line %q: %w", line, err)
		}
		if rec.Key, err = kcatBytes(in, key); err != nil {
			return records, err
		}
		if rec.Value, err = kcatBytes(in, value); err != nil {
			return records, err
		}
		records = append(records, rec)
	}
}

func kcatBytes(in io.Reader, n int) ([]byte, error) {
	if n < 0 {
		return nil, nil
	}
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	return b, err
}
