package testenv

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// linkLimit is how long a replica may take to follow its primary.
const linkLimit = 30 * time.Second

// Promote ends the replication: the server takes writes, with what it has.
func (r *Redis) Promote(ctx context.Context) error {
	return r.replicaOf(ctx, "NO", "ONE")
}

// Follow makes the server a replica of the one at addr. What it has is replaced; AwaitLink waits for that.
func (r *Redis) Follow(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("testenv: make %s a replica: %w", r.name, err)
	}
	return r.replicaOf(ctx, host, port)
}

func (r *Redis) replicaOf(ctx context.Context, host, port string) error {
	if err := r.client.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		return fmt.Errorf("testenv: make %s a replica of %s %s: %w", r.name, host, port, err)
	}
	return nil
}

// AwaitLink waits until a replica has all that its primary had when it connected, and follows.
func (r *Redis) AwaitLink(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkLimit, fmt.Errorf("no link after %v", linkLimit))
	defer cancel()
	err := poll(ctx, 10*time.Millisecond, func() error {
		status, err := r.Info(ctx, "replication", "master_link_status")
		if err == nil && status != "up" {
			err = fmt.Errorf("its link is %q", status)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("testenv: wait for replica %s: %w (its log is %s)", r.name, err, r.logPath)
	}
	return nil
}

// AwaitCaughtUp waits until a replica has all that primary has now.
func (r *Redis) AwaitCaughtUp(ctx context.Context, primary *Redis) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkLimit, fmt.Errorf("not caught up after %v", linkLimit))
	defer cancel()
	want, err := primary.offset(ctx, "master_repl_offset")
	if err != nil {
		return err
	}
	return poll(ctx, 5*time.Millisecond, func() error {
		got, err := r.offset(ctx, "slave_repl_offset")
		if err == nil && got < want {
			err = fmt.Errorf("testenv: replica %s is at %d of %d", r.name, got, want)
		}
		return err
	})
}

func (r *Redis) offset(ctx context.Context, field string) (int64, error) {
	text, err := r.Info(ctx, "replication", field)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// Info is one field of a section of INFO.
func (r *Redis) Info(ctx context.Context, section, field string) (string, error) {
	text, err := r.client.Info(ctx, section).Result()
	if err != nil {
		return "", fmt.Errorf("testenv: ask %s for its %s: %w", r.name, section, err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("testenv: %s tells no %s in its %s", r.name, field, section)
}
