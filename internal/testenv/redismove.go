package testenv

import (
	"context"
	"fmt"
)

// SlotMove is a slot on its way from one node to another: until End both have some of its keys, and clients are sent from one
// to the other with ASK; a command with keys on both sides gets TRYAGAIN.
type SlotMove struct {
	cluster  *RedisCluster
	slot     int
	from, to int
}

// MoveSlot moves a slot with all its keys to a node.
func (c *RedisCluster) MoveSlot(ctx context.Context, slot, to int) error {
	m, err := c.BeginMove(ctx, slot, to)
	if err != nil {
		return err
	}
	return m.End(ctx)
}

// BeginMove opens a slot for its way to a node; no key has moved yet.
func (c *RedisCluster) BeginMove(ctx context.Context, slot, to int) (*SlotMove, error) {
	from, err := c.Owner(ctx, slot)
	if err != nil {
		return nil, err
	}
	m := &SlotMove{cluster: c, slot: slot, from: from, to: to}
	if err := m.set(ctx, to, "IMPORTING", c.ids[from]); err != nil {
		return nil, err
	}
	return m, m.set(ctx, from, "MIGRATING", c.ids[to])
}

// Keys moves up to n keys of the slot and says how many there were.
func (m *SlotMove) Keys(ctx context.Context, n int) (int, error) {
	source, target := m.cluster.nodes[m.from], m.cluster.nodes[m.to]
	keys, err := source.client.ClusterGetKeysInSlot(ctx, m.slot, n).Result()
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	command := []any{"MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS"}
	for _, k := range keys {
		command = append(command, k)
	}
	if err := source.client.Do(ctx, command...).Err(); err != nil {
		return 0, fmt.Errorf("testenv: move %d keys of slot %d: %w", len(keys), m.slot, err)
	}
	return len(keys), nil
}

// End moves the keys that are left and tells every running node who has the slot now.
func (m *SlotMove) End(ctx context.Context) error {
	for {
		n, err := m.Keys(ctx, 100)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	// The new owner first: nobody may be sent to a node that does not know of its luck.
	order := []int{m.to, m.from}
	for i := range m.cluster.nodes {
		if i != m.to && i != m.from {
			order = append(order, i)
		}
	}
	for _, i := range order {
		if !m.cluster.nodes[i].Running() {
			continue
		}
		if err := m.set(ctx, i, "NODE", m.cluster.ids[m.to]); err != nil {
			return err
		}
	}
	return nil
}

func (m *SlotMove) set(ctx context.Context, node int, state, id string) error {
	if err := m.cluster.nodes[node].client.Do(ctx, "CLUSTER", "SETSLOT", m.slot, state, id).Err(); err != nil {
		return fmt.Errorf("testenv: set slot %d %s on node %d: %w", m.slot, state, node, err)
	}
	return nil
}
